/** A query of a service of three containers, beside a bare responder that sends a constant answer. */
import { execFile } from 'node:child_process'
import { createSocket } from 'node:dgram'
import path from 'node:path'
import { promisify } from 'node:util'
import { AddressSet, type ClientDirectory, DnsServer, Forwarder } from '../../../dns/index.ts'
import { createLogger } from '../../../kit/index.ts'
import { queryMessage } from '../../unit/dns/messages.ts'

/** One measured figure, printed as one line of JSON. */
export interface Figure {
  readonly bench: 'dns'
  readonly name: string
  readonly value: number
  readonly unit: string
  /** The same work done by someone else in the same run. */
  readonly peer?: { readonly name: string; readonly value: number; readonly ratio: number }
  /** What must hold; absent when the figure is for information. */
  readonly budget?: string
}

const SECONDS = 1
const ROUNDS = 11
const OUTSTANDING = 64
const CLIENT = path.join(import.meta.dirname, 'client.ts')
const QUERY = queryMessage('web.shop.prod.discover.internal', { edns: 1232 })

const run = promisify(execFile)

/** What a server did under load. */
interface Load {
  readonly perSecond: number
  /** Microseconds of processor time of the server for one query. */
  readonly cost: number
}

async function load(port: number): Promise<Load> {
  const before = process.cpuUsage()
  const args = [CLIENT, port, SECONDS, OUTSTANDING, QUERY.toString('hex')].map(String)
  const { stdout } = await run(process.execPath, args)
  const { user, system } = process.cpuUsage(before)
  return { perSecond: Number(stdout) / SECONDS, cost: (user + system) / Number(stdout) }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

const rounded = (value: number) => Number(value.toPrecision(3))

/** Our server, with one client and one service. */
async function ourServer(): Promise<{ port: number; stop: () => Promise<void> }> {
  const web = new AddressSet(() =>
    ['10.42.0.11', '10.42.0.12', '10.42.0.13'].map(address => ({ address, healthy: true })),
  )
  const scope = { find: (name: string) => (name === 'web.shop' ? web : undefined) }
  const view = {
    kind: 'member',
    scope,
    environment: 'prod',
    stack: 'shop',
    reverse: () => undefined,
    kubernetes: undefined,
    aliases: new Map(),
  } as const
  const clients: ClientDirectory = { version: 1, viewOf: () => view, whenKnown: () => Promise.resolve() }
  const forwarder = new Forwarder({ upstreams: [] })
  const log = createLogger('bench', 'error')
  const server = new DnsServer({ host: '127.0.0.1', port: 0, clients, forwarder, log })
  await server.start()
  return { port: server.port, stop: () => server.stop() }
}

/** Sends an answer of ours to everything, with the query's id. */
async function bareResponder(answer: Buffer): Promise<{ port: number; stop: () => Promise<void> }> {
  const socket = createSocket('udp4')
  socket.on('message', (message, { port, address }) => {
    const response = Buffer.from(answer)
    response[0] = message[0] ?? 0
    response[1] = message[1] ?? 0
    socket.send(response, port, address)
  })
  await new Promise<void>(resolve => socket.bind(0, '127.0.0.1', resolve))
  return {
    port: socket.address().port,
    stop: () => new Promise(resolve => socket.close(() => resolve())),
  }
}

function askOnce(port: number): Promise<Buffer> {
  const socket = createSocket('udp4')
  return new Promise<Buffer>(resolve => {
    socket.once('message', resolve)
    socket.send(QUERY, port, '127.0.0.1')
  }).finally(() => socket.close())
}

export async function bench(print: (figure: Figure) => void): Promise<void> {
  const ours = await ourServer()
  const bare = await bareResponder(await askOnce(ours.port))
  const loads: { ours: Load; bare: Load }[] = []
  await load(ours.port)
  await load(bare.port)
  for (let round = 0; round < ROUNDS; round += 1) {
    loads.push({ ours: await load(ours.port), bare: await load(bare.port) })
  }
  await Promise.all([ours.stop(), bare.stop()])
  const speed = median(loads.map(each => each.ours.perSecond))
  const bareSpeed = median(loads.map(each => each.bare.perSecond))
  const ratio = median(loads.map(each => each.ours.perSecond / each.bare.perSecond))
  const cost = median(loads.map(each => each.ours.cost))
  const bareCost = median(loads.map(each => each.bare.cost))
  print({
    bench: 'dns',
    name: 'A query of a service of 3',
    value: rounded(speed),
    unit: 'queries/s',
    peer: { name: 'bare dgram responder', value: rounded(bareSpeed), ratio: rounded(ratio) },
    budget: 'ratio >= 0.9',
  })
  print({
    bench: 'dns',
    name: 'processor time of a query',
    value: rounded(cost),
    unit: 'us',
    peer: { name: 'bare dgram responder', value: rounded(bareCost), ratio: rounded(bareCost / cost) },
  })
}

if (process.argv[1] === import.meta.filename) {
  await bench(figure => process.stdout.write(`${JSON.stringify(figure)}\n`))
}
