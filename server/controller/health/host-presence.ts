/** Which hosts can check containers now. */
import type { Clock } from '../../../kit/index.ts'
import type { Host, Model } from '../../model/index.ts'

/** A host whose agent is away for so many milliseconds checks nothing any more: its agent is not merely starting again. */
const LOST_AFTER = 3_000

/** After a server's start its agents come back one after the other; until then all are taken for there. */
const START_GRACE = 30_000

/** A host with this label checks nobody. */
const SKIP_LABEL = 'io.rancher.host.healthcheck.deploy_strategy'

export class HostPresence {
  readonly #model: Model
  readonly #clock: Clock
  readonly #connected = new Set<string>()
  readonly #lostAt = new Map<string, number>()
  readonly #candidates = new Map<string, ReadonlySet<string>>()
  readonly #startedAt: number

  constructor(model: Model, clock: Clock) {
    this.#model = model
    this.#clock = clock
    this.#startedAt = clock.monotonic()
  }

  /** Milliseconds after which a host that went may be lost. */
  static readonly lostAfter = LOST_AFTER

  /** Milliseconds after the start after which all that have not come back are lost. */
  static readonly startGrace = START_GRACE

  connectionChanged(hostId: string, connected: boolean): void {
    if (connected) {
      this.#connected.add(hostId)
      this.#lostAt.delete(hostId)
    } else {
      this.#connected.delete(hostId)
      this.#lostAt.set(hostId, this.#clock.monotonic())
    }
    this.forget()
  }

  /** Whether the host can say something now. */
  connected(hostId: string): boolean {
    return this.#connected.has(hostId)
  }

  /** Monotonic milliseconds when its agent went; undefined while it is there, and when it was never seen. */
  lostAt(hostId: string): number | undefined {
    return this.#lostAt.get(hostId)
  }

  /** Time passed, or hosts changed: who is a candidate is found out anew. */
  forget(): void {
    this.#candidates.clear()
    for (const hostId of this.#lostAt.keys()) if (!this.#model.hosts.get(hostId)) this.#lostAt.delete(hostId)
  }

  /** uuids of the hosts of a cluster that can be given containers to check. */
  candidates(clusterId: string): ReadonlySet<string> {
    const known = this.#candidates.get(clusterId)
    if (known !== undefined) return known
    const hosts = this.#model.hosts.where('cluster', clusterId).filter(host => this.#isCandidate(host))
    const candidates = new Set(hosts.map(({ uuid }) => uuid))
    this.#candidates.set(clusterId, candidates)
    return candidates
  }

  #isCandidate({ id, state, agentState, labels }: Host): boolean {
    if (state !== 'active' || labels[SKIP_LABEL] === 'skip') return false
    if (this.#connected.has(id)) return true
    const now = this.#clock.monotonic()
    const lostAt = this.#lostAt.get(id)
    if (lostAt !== undefined) return now - lostAt < LOST_AFTER
    return agentState === 'active' && now - this.#startedAt < START_GRACE
  }
}
