/** The clock of one cluster's workers. It knows when they next want to do something, also when nobody runs them. */
import type { CancelTimer, Clock } from '../../kit/index.ts'

export class WorkerClock implements Clock {
  readonly #clock: Clock
  readonly #timers = new Set<{ readonly at: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  now(): number {
    return this.#clock.now()
  }

  monotonic(): number {
    return this.#clock.monotonic()
  }

  after(milliseconds: number, callback: () => void): CancelTimer {
    const timer = { at: this.monotonic() + milliseconds }
    this.#timers.add(timer)
    const cancel = this.#clock.after(milliseconds, () => {
      this.#timers.delete(timer)
      callback()
    })
    return () => {
      this.#timers.delete(timer)
      cancel()
    }
  }

  /** When the first timer is due, on the scale of `monotonic`; infinity when nothing is. */
  get nextDue(): number {
    let next = Number.POSITIVE_INFINITY
    for (const { at } of this.#timers) next = Math.min(next, at)
    return next
  }
}
