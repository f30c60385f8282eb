/**
 * Replaces every copy of the metadata now and then, so that no mistake in one lasts for ever.
 *
 * Epochs are counted by the calendar: every server, and the same one after a restart, counts the same.
 */
import type { CancelTimer, Clock } from '../../kit/index.ts'

export interface GenerationRenewalOptions {
  /** Milliseconds between two renewals. */
  readonly interval: number
  /** Milliseconds over which the receivers of one are spread. */
  readonly spread: number
  readonly clock: Clock
  /** Called when a new epoch began. */
  readonly renew: () => void
}

/** Timers of Node.js count no further. */
const LONGEST_TIMER = 2 ** 31 - 1

export class GenerationRenewal {
  readonly #options: GenerationRenewalOptions
  readonly #waiting = new Map<object, CancelTimer>()
  #epoch: number
  #cancel: CancelTimer | undefined

  constructor(options: GenerationRenewalOptions) {
    this.#options = options
    this.#epoch = this.#now()
  }

  /** Number of the epoch that was last begun. */
  get epoch(): number {
    return this.#epoch
  }

  start(): void {
    const { clock, interval } = this.#options
    const remaining = interval - (clock.now() % interval)
    this.#cancel = clock.after(Math.min(remaining, LONGEST_TIMER), () => {
      const epoch = this.#now()
      if (epoch !== this.#epoch) {
        this.#epoch = epoch
        this.#options.renew()
      }
      this.start()
    })
  }

  stop(): void {
    this.#cancel?.()
    for (const cancel of this.#waiting.values()) cancel()
    this.#waiting.clear()
  }

  /** Does `work` for `receiver` at a moment of its own within the spread; once, however often it is asked. */
  spread(receiver: object, work: () => void): void {
    const { clock, spread } = this.#options
    this.#waiting.get(receiver)?.()
    this.#waiting.set(
      receiver,
      clock.after(Math.random() * spread, () => {
        this.#waiting.delete(receiver)
        work()
      }),
    )
  }

  #now(): number {
    return Math.floor(this.#options.clock.now() / this.#options.interval)
  }
}
