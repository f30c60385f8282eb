/** How long answers take at 10,000 queries a second, as dnsperf sees it, beside a bare responder and dnsmasq. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { systemErrorCode } from '../../../kit/index.ts'
import { median, type PrintFigure, percentile, printLine, rounded } from '../figures.ts'
import { allServers, NAME, type Running } from './servers.ts'

const RATE = 10_000
const SECONDS = 2
const ROUNDS = 7

/** Its output goes through files: reading it here would take time from the servers. */
async function dnsperf({ port }: Running): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'dns-bench-'))
  const queries = path.join(directory, 'queries')
  await writeFile(queries, `${NAME} A\n`.repeat(RATE))
  const output = await open(path.join(directory, 'output'), 'w+')
  const args = ['-s', '127.0.0.1', '-p', port, '-Q', RATE, '-l', SECONDS, '-d', queries, '-e', '-v']
  try {
    const child = spawn('dnsperf', args.map(String), { stdio: ['ignore', output.fd, 'ignore'] })
    await once(child, 'exit')
    return await readFile(path.join(directory, 'output'), 'utf8')
  } finally {
    await output.close()
    await rm(directory, { recursive: true })
  }
}

/** What one run found. */
interface Run {
  readonly p50: number
  readonly p99: number
  readonly perSecond: number
  readonly lost: number
}

async function measure(server: Running): Promise<Run> {
  const stdout = await dnsperf(server)
  // "> NOERROR name A 0.000123": seconds of one query; T in place of the code is a time-out.
  const milliseconds = [...stdout.matchAll(/^> NOERROR \S+ A (\d+\.\d+)$/gm)].map(
    match => Number(match[1]) * 1000,
  )
  return {
    p50: percentile(milliseconds, 0.5),
    p99: percentile(milliseconds, 0.99),
    perSecond: Number(/Queries per second: +([\d.]+)/.exec(stdout)?.[1]),
    lost: Number(/Queries lost: +(\d+)/.exec(stdout)?.[1]),
  }
}

export async function bench(print: PrintFigure): Promise<void> {
  const servers = await allServers()
  try {
    const runs = new Map<Running, Run[]>(servers.map(server => [server, []]))
    for (const server of servers) await measure(server)
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const server of servers) runs.get(server)?.push(await measure(server))
    }
    const [ours = [], ...others] = servers.map(server => runs.get(server) ?? [])
    const line = (name: string, value: number, unit: string, budget?: string) =>
      print({ bench: 'dns', name, value: rounded(value), unit, ...(budget ? { budget } : {}) })
    line('asked by dnsperf', median(ours.map(run => run.perSecond)), 'queries/s')
    line('lost of them', Math.max(...ours.map(run => run.lost)), 'queries', '0')
    for (const key of ['p50', 'p99'] as const) {
      const value = median(ours.map(run => run[key]))
      for (const [index, theirs] of others.entries()) {
        const peer = median(theirs.map(run => run[key]))
        print({
          bench: 'dns',
          name: `${key} at ${RATE} queries/s`,
          value: rounded(value),
          unit: 'ms',
          peer: { name: servers[index + 1]?.name ?? '', value: rounded(peer), ratio: rounded(value / peer) },
          ...(key === 'p99' ? { budget: '<= 5' } : {}),
        })
      }
    }
    line(`p99 at ${RATE} queries/s, worst run`, Math.max(...ours.map(run => run.p99)), 'ms')
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
    process.stderr.write('dnsperf is not installed: no latencies\n')
  } finally {
    await Promise.all(servers.map(server => server.stop()))
  }
}

if (process.argv[1] === import.meta.filename) await bench(printLine)
