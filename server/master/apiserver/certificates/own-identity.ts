/** What the API server proves with to others who it is: certificates of a day, made where they are needed, never kept. */
import type { Clock } from '../../../../kit/index.ts'
import type { KeyPair } from '../../../../kit/x509/index.ts'
import type { ClientAuthorities } from './client-authorities.ts'

const VALID_DAYS = 1
/** Milliseconds after which another one is made. */
const RENEWED_AFTER = 12 * 3_600_000
const MOST_KEPT = 256

export interface Subject {
  readonly commonName: string
  readonly organizations?: readonly string[]
}

interface Issued {
  readonly pair: Promise<KeyPair>
  /** Monotonic milliseconds. */
  readonly until: number
}

export class OwnIdentity {
  readonly #authorities: ClientAuthorities
  readonly #subject: Subject
  readonly #clock: Clock
  readonly #issued = new Map<string, Issued>()

  /** @param authorities whoever believes them believes this identity */
  constructor(authorities: ClientAuthorities, subject: Subject, clock: Clock) {
    this.#authorities = authorities
    this.#subject = subject
    this.#clock = clock
  }

  /** Key and certificate for those of one cluster. */
  of(cluster: string): Promise<KeyPair> {
    const now = this.#clock.monotonic()
    const present = this.#issued.get(cluster)
    if (present !== undefined && now < present.until) return present.pair
    this.#issued.delete(cluster)
    const [oldest] = this.#issued.keys()
    if (this.#issued.size >= MOST_KEPT && oldest !== undefined) this.#issued.delete(oldest)
    const pair = this.#authorities.issue(cluster, {
      ...this.#subject,
      usage: 'client',
      validDays: VALID_DAYS,
    })
    this.#issued.set(cluster, { pair, until: now + RENEWED_AFTER })
    pair.catch(() => this.#issued.delete(cluster))
    return pair
  }
}
