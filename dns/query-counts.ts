/** What became of queries: plain numbers, because a query that is answered from memory takes a few microseconds. */

/** Upper bounds of the time that others took, in seconds. */
const BOUNDS = [0.001, 0.005, 0.02, 0.1, 0.5, 2] as const

/** How long others took to answer. */
class ForwardTimes {
  readonly bounds: readonly number[] = BOUNDS
  /** By the first bound that holds it. */
  readonly counts: Float64Array = new Float64Array(BOUNDS.length)
  /** Also of what took longer than the last bound. */
  count = 0
  /** Seconds. */
  sum = 0

  add(seconds: number): void {
    this.count += 1
    this.sum += seconds
    const place = BOUNDS.findIndex(bound => seconds <= bound)
    if (place >= 0) this.counts[place] = (this.counts[place] ?? 0) + 1
  }
}

export class QueryCounts {
  /** Answered from memory: also with "no". */
  own = 0
  /** Answered by others. */
  forwarded = 0
  /** Not a query, from nobody known, or too many. */
  refused = 0
  /** Nobody could answer, or nobody knew in time who asked. */
  failed = 0
  readonly forwardTimes = new ForwardTimes()
}
