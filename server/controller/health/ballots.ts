/** What checkers said of containers: in memory only, because it expires, and agents say it again when they connect. */
import type { HealthVerdict } from '../../../protocol/index.ts'
import type { Container, Host } from '../../model/index.ts'
import type { Checker, Vote } from './judgement.ts'

interface Ballot {
  readonly epoch: number
  /** When this run was first seen to be running. */
  runningSince: number | undefined
  /** uuid of the checker → since when it checks this run, and what it said last. */
  readonly checkers: Map<string, { readonly since: number; vote: Vote | undefined }>
}

export class Ballots {
  readonly #ballots = new Map<string, Ballot>()

  /** Ids of the containers that are checked. */
  identifiers(): IterableIterator<string> {
    return this.#ballots.keys()
  }

  delete(containerId: string): void {
    this.#ballots.delete(containerId)
  }

  /** Makes the ballot one about this run by these checkers. @returns when the run was first seen to be running */
  prepare(container: Container, checkers: readonly string[], now: number): number {
    let ballot = this.#ballots.get(container.id)
    if (ballot === undefined || ballot.epoch !== container.startCount) {
      ballot = { epoch: container.startCount, runningSince: undefined, checkers: new Map() }
      this.#ballots.set(container.id, ballot)
    }
    if (container.state === 'running') ballot.runningSince ??= now
    for (const host of ballot.checkers.keys()) if (!checkers.includes(host)) ballot.checkers.delete(host)
    for (const host of checkers) {
      if (!ballot.checkers.has(host)) ballot.checkers.set(host, { since: now, vote: undefined })
    }
    return ballot.runningSince ?? now
  }

  /**
   * Takes in what a host says. Not counted is what is said of another run, or by somebody who was not asked; `down` of a
   * container on another host counts as `unknown` unless the checker has just reached a host that `isMember`.
   *
   * @returns whether it changes anything
   */
  take(
    container: Container,
    host: Pick<Host, 'id' | 'uuid'>,
    verdict: HealthVerdict,
    isMember: (hostUuid: string) => boolean,
    now: number,
  ): boolean {
    const ballot = this.#ballots.get(container.id)
    const entry = ballot?.checkers.get(host.uuid)
    if (entry === undefined || ballot?.epoch !== verdict.epoch) return false
    const reached = verdict.proof?.hostUuid
    const proven =
      host.id === container.hostId || (reached !== undefined && reached !== host.uuid && isMember(reached))
    const counted = verdict.verdict === 'down' && !proven ? 'unknown' : verdict.verdict
    const before = entry.vote
    entry.vote = { verdict: counted, expires: now + verdict.validFor }
    return before === undefined || before.expires <= now || before.verdict !== counted
  }

  /** The checkers of a container, by uuid. */
  checkers(
    containerId: string,
  ): ReadonlyMap<string, { readonly since: number; readonly vote: Vote | undefined }> {
    return this.#ballots.get(containerId)?.checkers ?? new Map()
  }

  /** The same, as a judgement wants them. */
  forJudgement(containerId: string, connected: (hostUuid: string) => boolean): Checker[] {
    return [...this.checkers(containerId)].map(([host, { since, vote }]) => ({
      since,
      vote,
      connected: connected(host),
    }))
  }
}
