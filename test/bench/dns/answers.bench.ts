/** Queries per second of a service of three containers, beside a bare responder and dnsmasq with the same answer. */
import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { median, type PrintFigure, printLine, rounded } from '../figures.ts'
import { allServers, QUERY, type Running } from './servers.ts'

const SECONDS = 1
const ROUNDS = 11
const OUTSTANDING = 64
const CLIENT = path.join(import.meta.dirname, 'client.ts')

const run = promisify(execFile)

/** What a server did under load. */
interface Load {
  readonly perSecond: number
  /** Microseconds of processor time of this process for one query. */
  readonly cost: number
}

async function load({ port }: Running): Promise<Load> {
  const before = process.cpuUsage()
  const args = [CLIENT, port, SECONDS, OUTSTANDING, QUERY.toString('hex')].map(String)
  const { stdout } = await run(process.execPath, args)
  const { user, system } = process.cpuUsage(before)
  return { perSecond: Number(stdout) / SECONDS, cost: (user + system) / Number(stdout) }
}

/** Loads every server once to warm up, then all in turn. */
async function rounds(servers: readonly Running[]): Promise<Map<Running, Load[]>> {
  const loads = new Map<Running, Load[]>(servers.map(server => [server, []]))
  for (const server of servers) await load(server)
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const server of servers) loads.get(server)?.push(await load(server))
  }
  return loads
}

/** Ratios are of the loads of one round: what else the machine did was most alike then. */
function ratioOf(ours: readonly Load[], theirs: readonly Load[]): number {
  return median(ours.map(({ perSecond }, round) => perSecond / (theirs[round]?.perSecond ?? Number.NaN)))
}

export async function bench(print: PrintFigure): Promise<void> {
  const servers = await allServers()
  const loads = await rounds(servers)
  await Promise.all(servers.map(server => server.stop()))
  const [own, ...others] = servers
  const ours = (own && loads.get(own)) ?? []
  const speed = rounded(median(ours.map(each => each.perSecond)))
  const cost = median(ours.map(each => each.cost))
  for (const other of others) {
    const theirs = loads.get(other) ?? []
    const value = rounded(median(theirs.map(each => each.perSecond)))
    print({
      bench: 'dns',
      name: 'A query of a service of 3',
      value: speed,
      unit: 'queries/s',
      peer: { name: other.name, value, ratio: rounded(ratioOf(ours, theirs)) },
      ...(other.here ? { budget: 'ratio >= 0.9' } : {}),
    })
    if (!other.here) continue
    const otherCost = median(theirs.map(each => each.cost))
    print({
      bench: 'dns',
      name: 'processor time of a query',
      value: rounded(cost),
      unit: 'us',
      peer: { name: other.name, value: rounded(otherCost), ratio: rounded(otherCost / cost) },
    })
  }
}

if (process.argv[1] === import.meta.filename) await bench(printLine)
