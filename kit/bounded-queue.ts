/** A first-in-first-out queue that never grows past its capacity. */
import { kitErrors } from './errors.ts'

/**
 * What happens to `push` on a full queue: `reject` throws `QueueFull`, `drop-oldest` forgets the oldest
 * element.
 */
export type OverflowPolicy = 'reject' | 'drop-oldest'

export class BoundedQueue<T> {
  readonly #name: string
  readonly #capacity: number
  readonly #overflow: OverflowPolicy
  readonly #waiting: ((result: IteratorResult<T, undefined>) => void)[] = []
  #items: T[] = []
  #head = 0
  #dropped = 0
  #closed = false

  constructor(name: string, capacity: number, overflow: OverflowPolicy) {
    this.#name = name
    this.#capacity = capacity
    this.#overflow = overflow
  }

  get size(): number {
    return this.#items.length - this.#head
  }

  /** How many elements were forgotten because the queue was full. */
  get dropped(): number {
    return this.#dropped
  }

  get closed(): boolean {
    return this.#closed
  }

  /** @throws `QueueFull` on a full queue with the policy `reject`, `Stopped` after `close` */
  push(item: T): void {
    if (this.#closed) throw kitErrors.Stopped({ object: `queue ${this.#name}` })
    const waiter = this.#waiting.shift()
    if (waiter !== undefined) {
      waiter({ value: item, done: false })
      return
    }
    if (this.size >= this.#capacity) {
      if (this.#overflow === 'reject') throw kitErrors.QueueFull({ object: `queue ${this.#name}` })
      this.#take()
      this.#dropped += 1
    }
    this.#items.push(item)
  }

  /** The oldest element, without waiting. */
  shift(): T | undefined {
    return this.size === 0 ? undefined : this.#take()
  }

  /** Ends the queue: what is in it is still delivered, then the iteration ends. */
  close(): void {
    this.#closed = true
    for (const waiter of this.#waiting.splice(0)) waiter({ value: undefined, done: true })
  }

  /** Waits for the next element; `done` once the queue is closed and empty. */
  next(): Promise<IteratorResult<T, undefined>> {
    if (this.size > 0) return Promise.resolve({ value: this.#take(), done: false })
    if (this.#closed) return Promise.resolve({ value: undefined, done: true })
    return new Promise(resolve => this.#waiting.push(resolve))
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<T, undefined> {
    return { next: () => this.next(), [Symbol.asyncIterator]: () => this[Symbol.asyncIterator]() }
  }

  #take(): T {
    const item = this.#items[this.#head] as T
    this.#head += 1
    // Shifting the array for every element would make draining quadratic; cut it when half is behind us.
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    } else if (this.#head === this.#items.length) {
      this.#items = []
      this.#head = 0
    }
    return item
  }
}
