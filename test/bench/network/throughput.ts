/**
 * Two ways between containers, measured against each other by iperf3. What else a machine does comes and goes within
 * seconds: each measurement is short, and each is compared with the one beside it.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { sleep } from '../../../kit/index.ts'
import { namespacePath } from '../../e2e/network/lab.ts'
import { median } from '../figures.ts'

const ROUNDS = 40
/** From a namespace to an address, where an iperf3 listens. */
export interface Way {
  readonly from: string
  readonly to: string
}

/** Times that a server may be busy with the end of the measurement before, and milliseconds between them. */
const TRIES = 40
const PAUSE = 50

/** @returns Gbit/s */
async function throughput({ from, to }: Way, bytes: string): Promise<number> {
  const client = [`--net=${namespacePath(from)}`, 'iperf3', '-J', '-c', to, '-n', bytes]
  for (let tries = 1; ; tries += 1) {
    const { stdout } = await promisify(execFile)('nsenter', client)
    const { end, error } = JSON.parse(stdout) as {
      end: { sum_received?: { bits_per_second: number } }
      error?: string
    }
    if (end.sum_received !== undefined) return end.sum_received.bits_per_second / 1e9
    if (tries === TRIES) throw new Error(`iperf3: ${error ?? 'no result'}`)
    await sleep(PAUSE)
  }
}

/**
 * Measures both in turns, each as often first as second.
 *
 * @param bytes of one measurement, in the words of iperf3: what takes a third of a second or so
 * @returns Gbit/s, and the median of the rounds' ratios
 */
export async function throughputInTurns(
  ours: Way,
  theirs: Way,
  bytes: string,
): Promise<{ value: number; peer: number; ratio: number }> {
  const rounds: { readonly value: number; readonly peer: number }[] = []
  // The first connection finds caches and queues cold.
  for (const way of [ours, theirs]) await throughput(way, bytes)
  while (rounds.length < ROUNDS) {
    const value = await throughput(ours, bytes)
    rounds.push({ value, peer: await throughput(theirs, bytes) })
    const peer = await throughput(theirs, bytes)
    rounds.push({ peer, value: await throughput(ours, bytes) })
  }
  return {
    value: median(rounds.map(round => round.value)),
    peer: median(rounds.map(round => round.peer)),
    ratio: median(rounds.map(round => round.value / round.peer)),
  }
}
