/** `self/container/primary_ip` to 64 clients, beside a bare node:http server that answers a constant. */
import { execFile } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { promisify } from 'node:util'
import { MetadataModel, MetadataServer, Requesters, SignalBoard } from '../../../agent/metadata/index.ts'
import { createLogger } from '../../../kit/index.ts'
import { median, type PrintFigure, printLine, rounded } from '../figures.ts'
import { cluster } from './cluster.ts'

const SECONDS = 1
const ROUNDS = 9
const CONNECTIONS = 64
const CLIENT = path.join(import.meta.dirname, 'client.ts')
const PATH = '/latest/self/container/primary_ip'

const run = promisify(execFile)

/** What a server did under load. */
interface Load {
  readonly perSecond: number
  /** Microseconds of processor time of the server for one request. */
  readonly cost: number
}

interface Running {
  readonly port: number
  readonly stop: () => Promise<void>
}

async function load({ port }: Running): Promise<Load> {
  const before = process.cpuUsage()
  const { stdout } = await run(process.execPath, [CLIENT, port, SECONDS, CONNECTIONS, PATH].map(String))
  const { user, system } = process.cpuUsage(before)
  return { perSecond: Number(stdout) / SECONDS, cost: (user + system) / Number(stdout) }
}

/** Our server with 1,000 containers, asked by the first of them. */
async function ourServer(): Promise<Running> {
  const model = new MetadataModel()
  const signals = new SignalBoard(model)
  const addresses = { isHostAddress: () => false, isContainerAddress: () => false }
  const requesters = new Requesters({ model, signals, addresses })
  requesters.setHost('host-node-0')
  model.apply(
    cluster(1_000, index => (index === 0 ? '127.0.0.1' : `10.42.${index >> 8}.${index & 255}`)),
    [],
  )
  const log = createLogger('bench', 'error')
  const server = new MetadataServer({ host: '127.0.0.1', port: 0, model, signals, requesters, log })
  await server.start()
  return { port: server.port, stop: () => server.stop() }
}

async function bareServer(): Promise<Running> {
  const server = createServer((_request, response) => response.end('127.0.0.1'))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    stop: () => new Promise(resolve => server.close(() => resolve())),
  }
}

export async function bench(print: PrintFigure): Promise<void> {
  const ours = await ourServer()
  const bare = await bareServer()
  const loads: { ours: Load; bare: Load }[] = []
  await load(ours)
  await load(bare)
  for (let round = 0; round < ROUNDS; round += 1)
    loads.push({ ours: await load(ours), bare: await load(bare) })
  await Promise.all([ours.stop(), bare.stop()])
  const cost = median(loads.map(each => each.ours.cost))
  const bareCost = median(loads.map(each => each.bare.cost))
  print({
    bench: 'metadata',
    name: 'self/container/primary_ip, 64 clients',
    value: rounded(median(loads.map(each => each.ours.perSecond))),
    unit: 'requests/s',
    peer: {
      name: 'bare node:http',
      value: rounded(median(loads.map(each => each.bare.perSecond))),
      ratio: rounded(median(loads.map(each => each.ours.perSecond / each.bare.perSecond))),
    },
    budget: 'ratio >= 0.8',
  })
  print({
    bench: 'metadata',
    name: 'processor time of a request',
    value: rounded(cost),
    unit: 'us',
    peer: { name: 'bare node:http', value: rounded(bareCost), ratio: rounded(bareCost / cost) },
  })
}

if (process.argv[1] === import.meta.filename) await bench(printLine)
