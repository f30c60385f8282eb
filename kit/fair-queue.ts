/**
 * Seats that many share: when all are taken, whoever comes waits, and seats that become free go to the waiting in turns,
 * one for each of them, so that a loud one delays itself and hardly anybody else.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
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

/** What some work sits on. */
interface Seat {
  /** How much of the work waits for somebody outside. */
  away: number
  isOver: boolean
  readonly leave: () => void
  readonly returnTo: () => Promise<void>
}

const current = new AsyncLocalStorage<Seat>()

/**
 * Gives the seat of the work that this is part of to others while `wait` waits for somebody outside, who may take long;
 * work without a seat just waits. Who comes back waits for a seat as everybody does.
 *
 * @throws what `wait` throws
 */
export async function withoutSeat<T>(wait: () => Promise<T>): Promise<T> {
  const seat = current.getStore()
  if (seat === undefined) return await wait()
  seat.away += 1
  if (seat.away === 1) seat.leave()
  try {
    return await wait()
  } finally {
    seat.away -= 1
    if (seat.away === 0 && !seat.isOver) await seat.returnTo()
  }
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
    const standing = this.#sit(key, this.#limits.waitingEach)
    // Work that has a seat at once begins at once.
    if (standing !== undefined) await standing
    let isSitting = true
    const leave = () => {
      if (isSitting) this.#leave(key)
      isSitting = false
    }
    const returnTo = async () => {
      await this.#sit(key, Number.POSITIVE_INFINITY)
      isSitting = true
      // It may have been given up while it waited.
      if (seat.isOver || seat.away > 0) leave()
    }
    const seat: Seat = { away: 0, isOver: false, leave, returnTo }
    try {
      return await current.run(seat, work)
    } finally {
      seat.isOver = true
      leave()
    }
  }

  /** @returns undefined where there is a seat at once */
  #sit(key: string, mostWaiting: number): Promise<void> | undefined {
    const flow = this.#flows.get(key) ?? { taken: 0, waiting: [] }
    this.#flows.set(key, flow)
    if (!this.#hasSeat(flow)) return this.#wait(key, flow, mostWaiting)
    this.#take(flow)
    return undefined
  }

  #leave(key: string): void {
    const flow = this.#flows.get(key)
    // Whoever sits has one.
    if (flow === undefined) return
    flow.taken -= 1
    this.#taken -= 1
    if (flow.taken === 0 && flow.waiting.length === 0) this.#flows.delete(key)
    else if (flow.waiting.length > 0) this.#turns.add(key)
    this.#seatNext()
  }

  #hasSeat(flow: Flow): boolean {
    const { seats, seatsEach } = this.#limits
    return flow.waiting.length === 0 && this.#taken < seats && flow.taken < seatsEach
  }

  #take(flow: Flow): void {
    flow.taken += 1
    this.#taken += 1
  }

  async #wait(key: string, flow: Flow, most: number): Promise<void> {
    if (flow.waiting.length >= most) {
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
