/**
 * Seats that many share: when all are taken, whoever comes waits, and seats that become free go to the waiting in turns,
 * one for each of them, so that a loud one delays itself and hardly anybody else.
 */
import { kitErrors } from './errors.ts'

export interface FairQueueLimits {
  /** Seats of all together. */
  readonly seats: number
  /** Seats that one may have at a time. */
  readonly seatsEach: number
  /** How many of one may wait. */
  readonly waitingEach: number
}

interface Flow {
  taken: number
  readonly waiting: (() => void)[]
}

export class FairQueue {
  readonly #name: string
  readonly #limits: FairQueueLimits
  readonly #flows = new Map<string, Flow>()
  /** Who waits and may have another seat, in the order of their turns. */
  readonly #turns = new Set<string>()
  #taken = 0

  /** @param name what the keys are, for errors: `cluster` */
  constructor(name: string, limits: FairQueueLimits) {
    this.#name = name
    this.#limits = limits
  }

  /**
   * Does `work` on a seat of `key`. Deadlines are the work's own.
   *
   * @throws `QueueFull` when too many of this key wait; what `work` throws
   */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const flow = this.#flows.get(key) ?? { taken: 0, waiting: [] }
    this.#flows.set(key, flow)
    if (this.#hasSeat(flow)) this.#take(flow)
    else await this.#wait(key, flow)
    try {
      return await work()
    } finally {
      flow.taken -= 1
      this.#taken -= 1
      if (flow.taken === 0 && flow.waiting.length === 0) this.#flows.delete(key)
      else if (flow.waiting.length > 0) this.#turns.add(key)
      this.#seatNext()
    }
  }

  #hasSeat(flow: Flow): boolean {
    const { seats, seatsEach } = this.#limits
    return flow.waiting.length === 0 && this.#taken < seats && flow.taken < seatsEach
  }

  #take(flow: Flow): void {
    flow.taken += 1
    this.#taken += 1
  }

  async #wait(key: string, flow: Flow): Promise<void> {
    if (flow.waiting.length >= this.#limits.waitingEach) {
      throw kitErrors.QueueFull({
        object: `${this.#name} ${key}`,
        message: 'has too much waiting to be done',
      })
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    flow.waiting.push(resolve)
    if (flow.taken < this.#limits.seatsEach) this.#turns.add(key)
    await promise
  }

  /** Gives free seats to those whose turn it is. */
  #seatNext(): void {
    const { seats, seatsEach } = this.#limits
    while (this.#taken < seats) {
      const [key] = this.#turns
      if (key === undefined) return
      this.#turns.delete(key)
      const flow = this.#flows.get(key)
      const next = flow !== undefined && flow.taken < seatsEach ? flow.waiting.shift() : undefined
      if (flow === undefined || next === undefined) continue
      // The seat is taken before whoever gets it knows, so that nobody comes between.
      this.#take(flow)
      next()
      if (flow.waiting.length > 0 && flow.taken < seatsEach) this.#turns.add(key)
    }
  }
}
