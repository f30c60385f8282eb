/** What keeps a host's network from being as it should be, by where it was found. */
import { explainError } from '../../kit/index.ts'
import { networkErrors } from '../../netplugins/index.ts'
import { type ProblemSource, TOLERATED } from './aspects.ts'

export class NetworkProblems {
  readonly #problems = new Map<ProblemSource, unknown>()

  /** @param problem undefined when there is none any more */
  set(source: ProblemSource, problem: unknown): void {
    if (problem === undefined) this.#problems.delete(source)
    else this.#problems.set(source, problem)
  }

  has(source: ProblemSource): boolean {
    return this.#problems.has(source)
  }

  /** The first of them, for people; undefined when there is none. */
  get failure(): string | undefined {
    const [first] = this.#problems
    return first && `${first[0]}: ${explainError(first[1])}`
  }

  /** @throws `NetworkNotReady` with the reason when containers cannot be served */
  requireServable(): void {
    for (const [source, problem] of this.#problems) {
      if (TOLERATED.has(source)) continue
      throw networkErrors.NetworkNotReady({
        object: `network (${source})`,
        message: explainError(problem),
        cause: problem,
      })
    }
  }
}
