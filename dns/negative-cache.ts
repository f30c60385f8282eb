/** Remembers for a short while what others said does not exist (RFC 2308). */
import dns2 from 'dns2'
import type { Clock } from '../kit/index.ts'
import { FLAG, HEADER_SIZE, RESPONSE_CODE } from './wire.ts'

const { Packet } = dns2

/** Answers that are kept; the oldest go first. */
const CAPACITY = 2_000
/** Longest time that one is believed, in milliseconds, whatever it says. */
const LONGEST = 60_000
/** Larger answers are not worth it; an ordinary "no" has about 100 bytes. */
const LARGEST = 1_024

interface Kept {
  readonly response: Buffer
  readonly learned: number
  readonly expires: number
}

/** Milliseconds for which the absence may be remembered; 0 when it may not, or the answer is none. */
export function negativeLifetime(response: Buffer): number {
  if (response.length < HEADER_SIZE || response.length > LARGEST) return 0
  const flags = response.readUInt16BE(2)
  const code = flags & 0xf
  const negative =
    code === RESPONSE_CODE.nameError || (code === RESPONSE_CODE.noError && response.readUInt16BE(6) === 0)
  if (!negative || (flags & FLAG.truncated) !== 0) return 0
  try {
    const authority = Packet.parse(response).authorities.find(({ type }) => type === Packet.TYPE.SOA)
    const { ttl, minimum } = (authority ?? {}) as { ttl?: number; minimum?: number }
    return ttl === undefined || minimum === undefined ? 0 : Math.min(ttl, minimum) * 1000
  } catch {
    // It is passed on as it is; what cannot be read is not kept.
    return 0
  }
}

/** `response` with the times to live of its authority section lowered by what has passed. */
function aged(response: Buffer, seconds: number): Buffer {
  const packet = Packet.parse(response)
  for (const record of packet.authorities) record.ttl = Math.max(0, (record.ttl ?? 0) - seconds)
  return packet.toBuffer()
}

export class NegativeCache {
  readonly #clock: Clock
  readonly #kept = new Map<string, Kept>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @param key of the question: name, type and what else the answer depends on */
  find(key: string): Buffer | undefined {
    const kept = this.#kept.get(key)
    if (kept === undefined) return undefined
    const now = this.#clock.monotonic()
    if (kept.expires <= now) {
      this.#kept.delete(key)
      return undefined
    }
    return aged(kept.response, Math.floor((now - kept.learned) / 1000))
  }

  learn(key: string, response: Buffer): void {
    const lifetime = Math.min(negativeLifetime(response), LONGEST)
    if (lifetime <= 0) return
    const learned = this.#clock.monotonic()
    this.#kept.delete(key)
    this.#kept.set(key, { response: Buffer.from(response), learned, expires: learned + lifetime })
    if (this.#kept.size <= CAPACITY) return
    const oldest = this.#kept.keys().next().value
    if (oldest !== undefined) this.#kept.delete(oldest)
  }
}
