/** Requests that wait for a change of what they ask for. */
import type { Clock } from '../../../kit/index.ts'
import type { Signal } from '../model/index.ts'
import { metadataErrors } from './errors.ts'

/** Requests that may wait at one time. */
const CAPACITY = 2_048

export class WaitingRoom {
  readonly #clock: Clock
  #size = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Requests that wait now. */
  get size(): number {
    return this.#size
  }

  /** Lets `work` wait in the room. @throws `TooManyWaiters` when it is full */
  async admit<T>(work: () => Promise<T>): Promise<T> {
    if (this.#size >= CAPACITY) throw metadataErrors.TooManyWaiters()
    this.#size += 1
    try {
      return await work()
    } finally {
      this.#size -= 1
    }
  }

  /** Resolves at the next change of any of `signals`, after `milliseconds`, or when `closed` aborts. */
  async change(signals: readonly Signal[], milliseconds: number, closed: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#clock.after(milliseconds, resolve)
    const stopListening = signals.map(signal => signal.onChange(resolve))
    const onClosed = () => resolve()
    closed.addEventListener('abort', onClosed, { once: true })
    if (closed.aborted) resolve()
    try {
      await promise
    } finally {
      cancel()
      for (const stop of stopListening) stop()
      closed.removeEventListener('abort', onClosed)
    }
  }
}
