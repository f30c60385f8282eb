/** One at a time per key: work on different keys goes on side by side. */
import { kitErrors } from './errors.ts'

export class KeyedLock<Key extends string = string> {
  readonly #name: string
  readonly #waitingLimit: number
  readonly #tails = new Map<Key, { last: Promise<unknown>; size: number }>()

  /**
   * @param name what the keys are, for errors: `container`
   * @param waitingLimit how many may hold or wait for one key
   */
  constructor(name: string, waitingLimit = 64) {
    this.#name = name
    this.#waitingLimit = waitingLimit
  }

  /**
   * Runs `work` when everything that asked for `key` before has ended. Deadlines are the work's own.
   *
   * @throws `QueueFull` when too many wait for the key already; what `work` throws
   */
  async run<T>(key: Key, work: () => Promise<T>): Promise<T> {
    const tail = this.#tails.get(key) ?? { last: Promise.resolve(), size: 0 }
    if (tail.size >= this.#waitingLimit) {
      throw kitErrors.QueueFull({
        object: `${this.#name} ${key}`,
        message: 'has too much waiting to be done',
      })
    }
    const turn = tail.last.then(work)
    tail.last = turn.catch(() => undefined)
    tail.size += 1
    this.#tails.set(key, tail)
    try {
      return await turn
    } finally {
      tail.size -= 1
      if (tail.size === 0) this.#tails.delete(key)
    }
  }
}
