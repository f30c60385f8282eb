/** How many plugins run at once: each is a process, and a host that starts hundreds of containers has few cores. */
import { kitErrors } from '../../kit/index.ts'

/** Calls that may wait for their turn. */
const WAITING_LIMIT = 8192

export class ProcessGate {
  readonly #limit: number
  readonly #waiting: (() => void)[] = []
  #running = 0

  /** @param limit how many may run at a time */
  constructor(limit: number) {
    this.#limit = limit
  }

  /**
   * Runs `work` when fewer than the limit run, in the order of the calls. Deadlines are the work's own.
   *
   * @throws `QueueFull` when too many wait already; what `work` throws
   */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#limit) {
      if (this.#waiting.length >= WAITING_LIMIT) throw kitErrors.QueueFull({ object: 'CNI plugins' })
      // Whoever ends hands its place on, so that nobody who comes later gets in between.
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    } else {
      this.#running += 1
    }
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#running -= 1
      else next()
    }
  }
}
