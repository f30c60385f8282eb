/** Load by wrk. */
import { runCommand } from '../../../kit/index.ts'

export interface Load {
  readonly perSecond: number
  /** Milliseconds. */
  readonly p99: number
  readonly requests: number
  /** Socket errors and answers other than 2xx or 3xx. */
  readonly failed: number
}

const UNITS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000 }

/** What wrk prints, as figures. */
function parseLoad(output: string): Load {
  const [, p99 = 'NaN', unit = 'ms'] = /^\s+99%\s+([\d.]+)(us|ms|s)$/m.exec(output) ?? []
  const errors =
    /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(output)?.slice(1) ?? []
  const statuses = /Non-2xx or 3xx responses: (\d+)/.exec(output)?.[1] ?? '0'
  return {
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]),
    p99: Number(p99) * (UNITS[unit] ?? Number.NaN),
    requests: Number(/(\d+) requests in/.exec(output)?.[1]),
    failed: [...errors, statuses].reduce((sum, count) => sum + Number(count), 0),
  }
}

export async function load(url: string, seconds: number, headers: readonly string[] = []): Promise<Load> {
  const args = [
    '-t',
    '1',
    '-c',
    '32',
    '-d',
    String(seconds),
    '--latency',
    ...headers.flatMap(header => ['-H', header]),
  ]
  const { stdout } = await runCommand('wrk', [...args, url], { deadline: (seconds + 20) * 1000 })
  return parseLoad(stdout)
}
