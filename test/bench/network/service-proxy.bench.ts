/** How long a host takes to lead packets for ten thousand services, and for one that changes. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { Followed, NodeRecord, ServiceRecord, SliceRecord } from '../../../agent/cluster/index.ts'
import { ServiceProxy } from '../../../agent/network/index.ts'
import { createLogger } from '../../../kit/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { type Figure, median, type PrintFigure, printLine, rounded } from '../figures.ts'
import { passOn } from './pass-on.ts'

const SERVICES = 10_000
const ENDPOINTS = 3
const CHANGES = 30
const CONNECTIONS = 500
/** Services that are given to iptables: ten thousand would take its newer kind half a minute. */
const PEER_SERVICES = 2_000

const log = createLogger('bench', 'error')

type Listener<R> = (record: R | undefined, previous: R | undefined) => void

/** A collection of which the bench says what is in it. */
class Told<R> implements Followed<R> {
  readonly ready = true
  #listener: Listener<R> = () => undefined

  onChange(listener: Listener<R>): () => void {
    this.#listener = listener
    return () => undefined
  }

  onReady(): () => void {
    return () => undefined
  }

  tell(record: R, previous?: R): void {
    this.#listener(record, previous)
  }
}

function service(number: number): ServiceRecord {
  return {
    namespace: 'bench',
    name: `s${number}`,
    addresses: [`10.43.${number >> 8}.${number & 255}`],
    publishesUnready: false,
    ports: [{ name: 'http', protocol: 'tcp', port: 80 }],
  }
}

function endpoint(number: number, index: number): string {
  const pod = number * ENDPOINTS + index
  return `10.42.${pod >> 8}.${pod & 255}`
}

/** @param moved by how many its last endpoint is another one */
function slice(number: number, moved = 0): SliceRecord {
  return {
    namespace: 'bench',
    name: `s${number}-1`,
    service: `s${number}`,
    endpoints: Array.from({ length: ENDPOINTS }, (_, index) => ({
      addresses: [endpoint(number, index === ENDPOINTS - 1 ? index + moved : index)],
      node: 'h2',
      ready: true,
    })),
    ports: [{ name: 'http', protocol: 'tcp', port: 8080 }],
  }
}

interface Cost {
  readonly wall: number
  /** Of the agent's own process. */
  readonly own: number
}

async function cost(work: () => Promise<void>): Promise<Cost> {
  const begin = performance.now()
  const usage = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(usage)
  return { wall: performance.now() - begin, own: (user + system) / 1000 }
}

/** The rules that kube-proxy makes of services, for iptables-restore. */
function iptablesRules(): string {
  const chains: string[] = [':SERVICES - [0:0]']
  const rules: string[] = []
  for (let number = 0; number < PEER_SERVICES; number += 1) {
    chains.push(`:SVC-${number} - [0:0]`)
    rules.push(`-A SERVICES -d ${service(number).addresses[0]}/32 -p tcp -m tcp --dport 80 -j SVC-${number}`)
    for (let index = 0; index < ENDPOINTS; index += 1) {
      const chain = `SEP-${number}-${index}`
      const chance = `-m statistic --mode random --probability ${(1 / (ENDPOINTS - index)).toFixed(10)}`
      chains.push(`:${chain} - [0:0]`)
      rules.push(`-A SVC-${number} ${index < ENDPOINTS - 1 ? chance : ''} -j ${chain}`)
      rules.push(`-A ${chain} -s ${endpoint(number, index)}/32 -j MARK --set-xmark 0x4000/0x4000`)
      rules.push(`-A ${chain} -p tcp -m tcp -j DNAT --to-destination ${endpoint(number, index)}:8080`)
    }
  }
  return ['*nat', ...chains, ...rules, 'COMMIT', ''].join('\n')
}

async function benchInside(print: PrintFigure): Promise<void> {
  execFileSync('ip', ['link', 'set', 'lo', 'up'])
  const services = new Told<ServiceRecord>()
  const slices = new Told<SliceRecord>()
  const nodes = new Told<NodeRecord>()
  const proxy = new ServiceProxy({
    ...{ services, slices, nodes, node: 'h1', log },
    podBlock: () => '10.42.0.0/16',
    onLocalEndpoints: () => undefined,
    onProblem: problem => {
      if (problem !== undefined) throw problem
    },
  })
  for (let number = 0; number < SERVICES; number += 1) {
    services.tell(service(number))
    slices.tell(slice(number))
  }
  const whole = await cost(() => proxy.start())
  const what = `services: ${SERVICES} of ${ENDPOINTS} endpoints from nothing`
  const peerBegin = performance.now()
  execFileSync('iptables-restore', ['--noflush'], { input: iptablesRules() })
  const peer = performance.now() - peerBegin
  const figure = { bench: 'network', unit: 'ms' } as const
  print({
    ...figure,
    name: what,
    value: rounded(whole.wall),
    budget: '<= 5000 ms',
    peer: {
      name: `iptables-restore of ${PEER_SERVICES} of them`,
      value: rounded(peer),
      ratio: rounded(whole.wall / peer),
    },
  })
  print({ ...figure, name: `${what}, the agent's processor`, value: rounded(whole.own) })
  const changes: Cost[] = []
  for (let change = 0; change < CHANGES; change += 1) {
    const number = change * 331
    changes.push(
      await cost(async () => {
        slices.tell(slice(number, 1 + change), slice(number))
        await proxy.settled()
      }),
    )
  }
  const one = 'services: an endpoint of one changes'
  print({
    ...figure,
    name: one,
    value: rounded(median(changes.map(({ wall }) => wall))),
    budget: '<= 100 ms',
  })
  print({
    ...figure,
    name: `${one}, the agent's processor`,
    value: rounded(median(changes.map(({ own }) => own))),
  })
  print({ ...figure, name: `${one}, at most`, value: rounded(Math.max(...changes.map(({ wall }) => wall))) })
  print({
    ...{ bench: 'network', unit: 'ms' },
    ...(await connectionCost(address => {
      const last = slice(SERVICES - 1)
      const endpoints = [{ addresses: [address], node: 'h2', ready: true }]
      slices.tell({ ...last, endpoints }, last)
      return proxy.settled()
    })),
  })
  await proxy.stop()
}

/** What a connection to the last service costs, beside one to its endpoint. */
async function connectionCost(
  lead: (endpoint: string) => Promise<void>,
): Promise<Pick<Figure, 'name' | 'value' | 'peer'>> {
  const address = '10.42.255.1'
  execFileSync('ip', ['address', 'add', `${address}/32`, 'dev', 'lo'])
  execFileSync('ip', ['route', 'add', '10.43.0.0/16', 'dev', 'lo', 'src', address])
  await lead(address)
  const server = createServer(socket => socket.end()).listen(8080, address)
  await once(server, 'listening')
  const [last = ''] = service(SERVICES - 1).addresses
  const connectTo = async (host: string, port: number) => {
    const socket = connect({ host, port })
    await once(socket, 'connect')
    socket.destroy()
  }
  const direct: number[] = []
  const led: number[] = []
  for (let round = 0; round < CONNECTIONS; round += 1) {
    direct.push((await cost(() => connectTo(address, 8080))).wall)
    led.push((await cost(() => connectTo(last, 80))).wall)
  }
  server.close()
  const value = median(led)
  const peer = median(direct)
  return {
    name: `services: a connection to the last of ${SERVICES}`,
    value: rounded(value),
    peer: { name: 'a connection to its endpoint', value: rounded(peer), ratio: rounded(value / peer) },
  }
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
