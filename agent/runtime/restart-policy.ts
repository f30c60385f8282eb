/** When a container that ended is started again. Pure. */
import type { PodSpec } from '../../protocol/kubernetes/index.ts'

type RestartPolicy = NonNullable<PodSpec['restartPolicy']>

/** First delay after a quick failure, in milliseconds; each further quick failure doubles it. */
const FIRST_DELAY = 1_000
const LONGEST_DELAY = 300_000
/** A container that ran at least this long (milliseconds) did not fail at its start: its count begins again. */
const STABLE_RUN = 10_000

export function shouldRestart(policy: RestartPolicy, exitCode: number): boolean {
  if (policy === 'Always') return true
  return policy === 'OnFailure' && exitCode !== 0
}

/** Counts the quick failures of each container and says how long to wait. */
export class CrashCounter {
  readonly #counts = new Map<string, { runId: string; failures: number }>()

  /**
   * Takes note of the end of a run; the same run counts once.
   *
   * @param key the container of the pod
   * @param runId Docker's id of the container that ended
   * @param ranFor milliseconds
   */
  ended(key: string, runId: string, ranFor: number): void {
    const before = this.#counts.get(key)
    if (before?.runId === runId) return
    const failures = ranFor >= STABLE_RUN ? 1 : (before?.failures ?? 0) + 1
    this.#counts.set(key, { runId, failures })
  }

  /** Milliseconds between the end of a run and the next: none after the first failure, then 1 s, 2 s, … 300 s. */
  delay(key: string): number {
    const failures = this.#counts.get(key)?.failures ?? 0
    return failures <= 1 ? 0 : Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** (failures - 2))
  }

  forget(keys: Iterable<string>): void {
    for (const key of keys) this.#counts.delete(key)
  }
}
