/**
 * Bounds what one client may have others asked: answers from memory cost next to nothing, questions to others take their
 * time from all clients of this host.
 */
import { type Clock, systemClock } from '../kit/index.ts'

/** Questions per second that a client may ask in the long run, and at once. */
const RATE = 500
const BURST = 1_000
/** Clients that are remembered: more than a host has containers. */
const CAPACITY = 4_096

interface Bucket {
  tokens: number
  filled: number
}

export class RateLimit {
  readonly #clock: Clock
  readonly #buckets = new Map<string, Bucket>()

  constructor(clock: Clock = systemClock) {
    this.#clock = clock
  }

  /** Whether the client may ask one more question now. */
  admit(client: string): boolean {
    const now = this.#clock.monotonic()
    const bucket = this.#buckets.get(client) ?? this.#open(client, now)
    bucket.tokens = Math.min(BURST, bucket.tokens + ((now - bucket.filled) * RATE) / 1000)
    bucket.filled = now
    if (bucket.tokens < 1) return false
    bucket.tokens -= 1
    return true
  }

  #open(client: string, now: number): Bucket {
    // Forgetting all is forgiving all, once in a while.
    if (this.#buckets.size >= CAPACITY) this.#buckets.clear()
    const bucket = { tokens: BURST, filled: now }
    this.#buckets.set(client, bucket)
    return bucket
  }
}
