/** Exponential back-off with full jitter. */

export interface BackoffOptions {
  /** First delay in milliseconds. */
  readonly initial: number
  /** Largest delay in milliseconds. */
  readonly maximum: number
  readonly factor?: number
  /** 0 = exact delays, 1 = anywhere between zero and the delay. Default 0.5. */
  readonly jitter?: number
  /** A number in [0, 1); `Math.random` unless a test says otherwise. */
  readonly random?: () => number
}

/** The delays of one retried activity. `reset` after a success. */
export class Backoff {
  readonly #options: Required<BackoffOptions>
  #attempts = 0

  constructor(options: BackoffOptions) {
    this.#options = { factor: 2, jitter: 0.5, random: Math.random, ...options }
  }

  /** How many delays were handed out since the last reset. */
  get attempts(): number {
    return this.#attempts
  }

  /** The next delay in milliseconds. */
  next(): number {
    const { initial, maximum, factor, jitter, random } = this.#options
    const delay = Math.min(maximum, initial * factor ** this.#attempts)
    this.#attempts += 1
    return delay * (1 - jitter * random())
  }

  reset(): void {
    this.#attempts = 0
  }
}
