/** How long a host takes to know the way to a thousand others, and to one more. */
import { execFileSync } from 'node:child_process'
import { createLogger } from '../../../kit/index.ts'
import { RouteSocket } from '../../../netplugins/netlink/index.ts'
import type { Overlay, OverlayState, Peer } from '../../../netplugins/overlay/index.ts'
import { HostGateway, RoutedOverlay } from '../../../netplugins/routed/index.ts'
import { VxlanOverlay } from '../../../netplugins/vxlan/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { median, type PrintFigure, printLine, rounded } from '../figures.ts'
import { passOn } from './pass-on.ts'

const HOSTS = 1000
/** How many hosts are added one by one, for a median. */
const ADDED = 15
const ROUNDS = 3

const log = createLogger('bench', 'error')

function peers(count: number): Peer[] {
  return Array.from({ length: count }, (_, index) => {
    const number = index + 2
    const block = index + 1
    return {
      hostId: `1h${number}`,
      name: `host-${number}`,
      address: `198.18.${number >> 8}.${number & 255}`,
      blocks: [`10.42.${block >> 2}.${(block & 3) * 64}/26`],
      labels: {},
    }
  })
}

function state(count: number): OverlayState {
  return {
    address: '198.18.0.1',
    clusterBlock: '10.42.0.0/16',
    blocks: ['10.42.0.0/26'],
    bridgeName: 'drover0',
    gateway: '10.42.0.1',
    peers: peers(count),
  }
}

/** The host's uplink; its other end leads nowhere. */
function addUplink(): void {
  execFileSync('ip', ['-batch', '-'], {
    input: [
      'link add eth0 type veth peer name wire',
      'link set eth0 up',
      'link set wire up',
      'address add 198.18.0.1/16 dev eth0',
    ].join('\n'),
  })
}

async function timed(work: () => unknown): Promise<number> {
  const begin = performance.now()
  await work()
  return performance.now() - begin
}

/** The same objects by the programs that people use, one process for each kind. */
function byHand(): void {
  const routes: string[] = []
  const entries: string[] = []
  for (const { address, blocks } of peers(HOSTS)) {
    const octets = address.split('.').map(octet => Number(octet).toString(16).padStart(2, '0'))
    const mac = `0e:00:${octets.join(':')}`
    entries.push(`fdb add ${mac} dev vtep1042 dst ${address} self permanent`)
    routes.push(`neighbour add ${address} lladdr ${mac} dev vtep1042 nud permanent`)
    routes.push(`route add ${blocks[0]} via ${address} dev vtep1042 onlink proto 142`)
  }
  const local = ['local', '198.18.0.1', 'dstport', '4789', 'nolearning']
  execFileSync('ip', ['link', 'add', 'vtep1042', 'type', 'vxlan', 'id', '1042', ...local])
  execFileSync('ip', ['link', 'set', 'vtep1042', 'up'])
  execFileSync('bridge', ['-batch', '-'], { input: entries.join('\n') })
  execFileSync('ip', ['-batch', '-'], { input: routes.join('\n') })
}

interface Times {
  readonly whole: number[]
  readonly one: number[]
  readonly verify: number[]
}

async function measure(create: () => Overlay): Promise<Times> {
  const times: Times = { whole: [], one: [], verify: [] }
  for (let round = 0; round < ROUNDS; round += 1) {
    const overlay = create()
    times.whole.push(await timed(() => overlay.apply(state(HOSTS))))
    for (let added = 1; added <= ADDED; added += 1) {
      const next = state(HOSTS + added)
      times.one.push(await timed(() => overlay.apply(next)))
    }
    times.verify.push(await timed(() => overlay.verify(state(HOSTS + ADDED))))
    await overlay.remove()
    await overlay.close()
  }
  return times
}

async function benchInside(print: PrintFigure): Promise<void> {
  addUplink()
  const socket = RouteSocket.open()
  const hand: number[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    hand.push(await timed(byHand))
    execFileSync('ip', ['link', 'delete', 'vtep1042'])
  }
  const overlays: Record<string, () => Overlay> = {
    vxlan: () => new VxlanOverlay({ socket, log }),
    'routed (hostgw)': () => new RoutedOverlay({ provider: new HostGateway(socket), log }),
  }
  for (const [kind, create] of Object.entries(overlays)) {
    const times = await measure(create)
    const whole = rounded(median(times.whole))
    const peer = { name: 'ip and bridge, in batches', value: rounded(median(hand)) }
    print({
      bench: 'network',
      name: `${kind}: ${HOSTS} hosts from nothing`,
      value: whole,
      unit: 'ms',
      ...(kind === 'vxlan' ? { peer: { ...peer, ratio: rounded(whole / peer.value) } } : {}),
      budget: '<= 5000 ms',
    })
    const one = rounded(median(times.one))
    print({
      bench: 'network',
      name: `${kind}: one host more`,
      value: one,
      unit: 'ms',
      budget: '<= 50 ms',
    })
    const verify = rounded(median(times.verify))
    print({ bench: 'network', name: `${kind}: all compared, nothing to repair`, value: verify, unit: 'ms' })
  }
  socket.close()
}

/** Runs in a private network of its own, as root. */
export async function bench(print: PrintFigure): Promise<void> {
  await passOn(import.meta.filename, print)
}

if (process.argv[1] === import.meta.filename) {
  const obstacle = inPrivateNetwork(import.meta.filename)
  if (obstacle !== false) throw new Error(obstacle)
  await benchInside(printLine)
}
