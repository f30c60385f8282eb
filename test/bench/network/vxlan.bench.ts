/**
 * How much a TCP connection between containers of two hosts carries, beside a VXLAN network that was made by hand with `ip`
 * between two hosts of the same kind in the same run, in turns.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { namespacePath, runIn } from '../../e2e/network/lab.ts'
import { OverlayHost, pings, startSwitch, stateOf } from '../../e2e/network/overlay/world.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { median, type PrintFigure, printLine, rounded } from '../figures.ts'
import { passOn } from './pass-on.ts'

const ROUNDS = 7
/** Of one measurement. */
const SECONDS = 1

function makeByHand(host: OverlayHost, other: OverlayHost): void {
  const mac = (of: OverlayHost) => `02:aa:00:00:00:0${of.name.slice(1)}`
  const vxlan = ['type', 'vxlan', 'id', '42', 'dstport', '4789', 'local', host.address, 'nolearning']
  host.run('ip', 'link', 'add', 'vxlan0', 'address', mac(host), 'mtu', '1450', ...vxlan)
  host.run('ip', 'link', 'set', 'vxlan0', 'up')
  host.run('bridge', 'fdb', 'add', mac(other), 'dev', 'vxlan0', 'dst', other.address)
  host.run('ip', 'neighbour', 'add', other.address, 'lladdr', mac(other), 'dev', 'vxlan0', 'nud', 'permanent')
  host.run('ip', 'route', 'add', other.block, 'via', other.address, 'dev', 'vxlan0', 'onlink')
}

/** @returns Gbit/s */
function throughput(from: OverlayHost, to: OverlayHost): number {
  const text = runIn(from.containerName, 'iperf3', '-J', '-c', to.container, '-t', String(SECONDS))
  const report = JSON.parse(text) as { end: { sum_received: { bits_per_second: number } } }
  return report.end.sum_received.bits_per_second / 1e9
}

async function benchInside(print: PrintFigure): Promise<void> {
  startSwitch()
  const start = (number: number) => OverlayHost.start({ number, kind: 'vxlan' })
  const [a, b, x, y] = [await start(1), await start(2), await start(3), await start(4)]
  for (const host of [a, b]) await host.apply(stateOf(host, [a, b]))
  makeByHand(x, y)
  makeByHand(y, x)
  const servers = [b, y].map(host =>
    spawn('nsenter', [`--net=${namespacePath(host.containerName)}`, 'iperf3', '-s'], { stdio: 'ignore' }),
  )
  try {
    for (const [from, to] of [
      [a, b],
      [x, y],
    ] as const) {
      if (!pings(from.containerName, to.container)) throw new Error(`${from.name} does not reach ${to.name}`)
    }
    const ours: number[] = []
    const theirs: number[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      ours.push(throughput(a, b))
      theirs.push(throughput(x, y))
    }
    const [value, peer] = [median(ours), median(theirs)]
    print({
      bench: 'network',
      name: 'vxlan: TCP between containers of two hosts',
      value: rounded(value),
      unit: 'Gbit/s',
      peer: { name: 'kernel VXLAN by hand', value: rounded(peer), ratio: rounded(value / peer) },
      budget: 'ratio >= 0.95',
    })
  } finally {
    for (const server of servers) {
      server.kill()
      await once(server, 'exit')
    }
    for (const host of [a, b, x, y]) await host.stop()
  }
}

/** Runs in a private network of its own, as root; needs iperf3. */
export async function bench(print: PrintFigure): Promise<void> {
  await passOn(import.meta.filename, print)
}

if (process.argv[1] === import.meta.filename) {
  const obstacle = inPrivateNetwork(import.meta.filename)
  if (obstacle !== false) throw new Error(obstacle)
  await benchInside(printLine)
}
