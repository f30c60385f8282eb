/**
 * What to do about one peer, decided from the security associations that there are: pure but for its memory of what was
 * tried when.
 *
 * Whatever happened (both sides began at once, one of them was restarted, keys changed, a block was added while the
 * other side did not know yet), there is in the end one association that carries all blocks: a new one is made first,
 * and others end when it carries.
 */
import { Backoff } from '../../kit/index.ts'
import type { PeerState } from '../overlay/index.ts'
import type { Association } from './associations.ts'
import type { DesiredConnection } from './connection.ts'

/** Milliseconds that the side which does not have to begin waits for the other one. */
const PATIENCE = 3_000

/** Milliseconds for which two associations that are both as wanted are left alone: the peer may be replacing one. */
const GRACE = { begins: 3_000, waits: 15_000 }

/** Milliseconds after which an attempt of which charon says nothing any more is given up. */
const ATTEMPT_LIMIT = 60_000

/** Milliseconds between two looks at an attempt that is under way. */
const ATTEMPT_INTERVAL = 1_000

/** Milliseconds after which to ask again whether one may begin. */
const TURN_INTERVAL = 200

const PAUSES = { initial: 1_000, maximum: 60_000 }

export interface PeerStep {
  readonly state: PeerState['state']
  readonly reason?: string
  /** Whether a new association is to be begun. */
  readonly begin: boolean
  /** Associations to be ended. */
  readonly end: readonly number[]
  /** Milliseconds after which to look again, if nothing happens before. */
  readonly lookAgain?: number
}

/** What charon said about an attempt. */
export interface Failure {
  readonly reason: string
  /** One of the two sides did not believe the other. */
  readonly isRefusal: boolean
}

export class PeerMachine {
  readonly #backoff: Backoff
  #desired: DesiredConnection
  #noticed: number
  #nextAttempt: number
  #attempt: { readonly since: number } | undefined
  /** The last attempt took so long that another one may begin beside it. */
  #hasGivenUp = false
  #duplicateSince: number | undefined
  #failure: Failure | undefined
  #carried = false

  /** @param now of a clock that never goes back, in milliseconds, here and everywhere */
  constructor(desired: DesiredConnection, now: number, random: () => number = Math.random) {
    this.#backoff = new Backoff({ ...PAUSES, random })
    this.#desired = desired
    this.#noticed = now
    this.#nextAttempt = now
  }

  get desired(): DesiredConnection {
    return this.#desired
  }

  /** Something about the connection changed: what failed before may succeed now. */
  want(desired: DesiredConnection, now: number): void {
    this.#desired = desired
    this.retrySoon(now)
  }

  /** The peer, or what is between, may have changed: forgets the pauses. */
  retrySoon(now: number): void {
    this.#noticed = now
    this.#nextAttempt = now
    this.#attempt = undefined
    this.#failure = undefined
    this.#backoff.reset()
  }

  /** An attempt, ours or the peer's, failed. */
  failed(failure: Failure): void {
    // What follows a refusal (that nothing was established) says less than the refusal.
    if (this.#failure?.isRefusal === true && !failure.isRefusal) return
    this.#failure = failure
  }

  /**
   * @param associations with this peer
   * @param accepted credentials that are still believed; others' associations end at once
   * @param mayBegin whether it is not too many that begin now
   */
  step(
    associations: readonly Association[],
    accepted: readonly string[],
    now: number,
    mayBegin = true,
  ): PeerStep {
    const revoked = associations.filter(({ credential }) => !accepted.includes(credential))
    const trusted = associations.filter(({ credential }) => accepted.includes(credential))
    const best = trusted
      .filter(({ isEstablished, remoteBlocks }) => isEstablished && remoteBlocks.length > 0)
      .toSorted((a, b) => this.#rank(b) - this.#rank(a) || b.id - a.id)[0]
    const superseded = best === undefined ? [] : this.#superseded(best, trusted, now)
    const end = [...revoked, ...superseded].map(({ id }) => id)
    if (best !== undefined && this.#isWanted(best)) return this.#settled(end)
    return { ...this.#unsettled(best, trusted, now, mayBegin), end }
  }

  #settled(end: readonly number[]): PeerStep {
    this.#backoff.reset()
    this.#failure = undefined
    this.#attempt = undefined
    this.#carried = true
    const wait = this.#duplicateSince === undefined ? {} : { lookAgain: ATTEMPT_INTERVAL }
    return { state: 'up', begin: false, end, ...wait }
  }

  /** There is none yet that is wholly as wanted; an older one may be carrying meanwhile. */
  #unsettled(
    best: Association | undefined,
    trusted: readonly Association[],
    now: number,
    mayBegin: boolean,
  ): Omit<PeerStep, 'end'> {
    if (best === undefined && this.#carried) {
      // It was connected until now: the peer is likely to be trying, too.
      this.#carried = false
      this.#noticed = now
      this.#nextAttempt = now
    }
    const status = this.#status(best)
    const { name, begins } = this.#desired
    const isUnderWay = trusted.some(entry => entry.isConnecting && entry.name === name)
    // Charon begins by itself, too, when a peer has gone silent.
    if (isUnderWay && !this.#hasGivenUp) this.#attempt ??= { since: now }
    if (this.#attempt !== undefined) {
      const age = now - this.#attempt.since
      const isFresh = age < ATTEMPT_INTERVAL
      if ((isUnderWay || isFresh) && age < ATTEMPT_LIMIT)
        return { ...status, begin: false, lookAgain: ATTEMPT_INTERVAL }
      this.#hasGivenUp = age >= ATTEMPT_LIMIT
      this.#attempt = undefined
      this.#nextAttempt = now + this.#backoff.next()
    }
    const due = Math.max(this.#nextAttempt, begins ? 0 : this.#noticed + PATIENCE)
    if (now < due) return { ...status, begin: false, lookAgain: due - now }
    if (!mayBegin) return { ...status, begin: false, lookAgain: TURN_INTERVAL }
    this.#attempt = { since: now }
    this.#hasGivenUp = false
    return { ...status, begin: true, lookAgain: ATTEMPT_INTERVAL }
  }

  #status(best: Association | undefined): Pick<PeerStep, 'state' | 'reason'> {
    const { localBlocks, remoteBlocks } = this.#desired
    const reason = this.#failure && { reason: this.#failure.reason }
    if (best !== undefined) {
      const missing = [
        ...localBlocks.filter(block => !best.localBlocks.includes(block)),
        ...remoteBlocks.filter(block => !best.remoteBlocks.includes(block)),
      ]
      if (missing.length === 0) return { state: 'up', ...reason }
      return { state: 'connecting', reason: `does not carry ${missing.join(', ')} yet`, ...reason }
    }
    if (this.#failure === undefined) return { state: 'connecting' }
    return { state: this.#failure.isRefusal ? 'refused' : 'down', ...reason }
  }

  #isWanted(association: Association): boolean {
    return association.name === this.#desired.name && this.#covered(association) === this.#wantedPairs()
  }

  #rank(association: Association): number {
    return this.#covered(association) * 2 + (association.name === this.#desired.name ? 1 : 0)
  }

  #wantedPairs(): number {
    return this.#desired.localBlocks.length * this.#desired.remoteBlocks.length
  }

  #covered({ localBlocks, remoteBlocks }: Association): number {
    const local = this.#desired.localBlocks.filter(block => localBlocks.includes(block))
    const remote = this.#desired.remoteBlocks.filter(block => remoteBlocks.includes(block))
    return local.length * remote.length
  }

  /** Those that `best` makes superfluous. */
  #superseded(best: Association, trusted: readonly Association[], now: number): Association[] {
    const others = trusted.filter(entry => entry !== best && entry.isEstablished)
    const { name } = this.#desired
    if (best.name !== name) return []
    const outdated = others.filter(entry => entry.name !== name)
    const duplicates = others.filter(entry => entry.name === name)
    if (duplicates.length === 0) {
      this.#duplicateSince = undefined
      return outdated
    }
    this.#duplicateSince ??= now
    const grace = this.#desired.begins ? GRACE.begins : GRACE.waits
    return now - this.#duplicateSince < grace ? outdated : [...outdated, ...duplicates]
  }
}
