/** Has containers checked by hosts, and takes in what those find out. */
import { isDeepStrictEqual } from 'node:util'
import {
  type Clock,
  type Daemon,
  type Logger,
  ReconcileLoop,
  type ReconcileResult,
  systemClock,
} from '../../../kit/index.ts'
import type { HealthState, HealthVerdict } from '../../../protocol/index.ts'
import {
  type Container,
  type ContainerHealth,
  type HealthCheck,
  type Host,
  healthCheckOf,
  type Model,
} from '../../model/index.ts'
import { Ballots } from './ballots.ts'
import { assignCheckers } from './checkers.ts'
import { HostPresence } from './host-presence.ts'
import { judge } from './judgement.ts'

/** What one checker of a container says. */
export interface CheckerState {
  readonly hostId: string
  readonly healthState: HealthState
}

/** Changes of a container that may concern its health; its addresses and labels do not. */
function concernsHealth(now: Container | undefined, before: Container | undefined): boolean {
  if (now === undefined || before === undefined) return true
  const keys = ['state', 'startCount', 'hostId', 'serviceId', 'health'] as const
  return keys.some(key => !isDeepStrictEqual(now[key], before[key]))
}

export class HealthController implements Daemon {
  readonly name = 'health controller'
  readonly #model: Model
  readonly #log: Logger
  readonly #clock: Clock
  readonly #presence: HostPresence
  readonly #ballots = new Ballots()
  /** Of containers. */
  readonly #loop: ReconcileLoop
  /** Of clusters: who checks there. */
  readonly #clusters: ReconcileLoop

  constructor(model: Model, log: Logger, clock = systemClock) {
    this.#model = model
    this.#log = log
    this.#clock = clock
    this.#presence = new HostPresence(model, clock)
    this.#loop = new ReconcileLoop({ name: 'health', log, clock, reconcile: id => this.#reconcile(id) })
    this.#clusters = new ReconcileLoop({
      name: 'checkers',
      log,
      clock,
      reconcile: id => this.#checkersChanged(id),
    })
  }

  start(): Promise<void> {
    const { containers, services, hosts, clusters } = this.#model
    containers.onChange((container, previous) => {
      if (concernsHealth(container, previous)) this.#kick(container ?? previous)
    })
    services.onChange((service, previous) => {
      if (service === undefined || previous === undefined) return
      const keys = ['launchConfig', 'secondaryLaunchConfigs'] as const
      if (keys.every(key => isDeepStrictEqual(service[key], previous[key]))) return
      for (const container of containers.where('service', service.id)) this.#kick(container)
    })
    hosts.onChange((host, previous) => {
      if (host?.state === previous?.state && isDeepStrictEqual(host?.labels, previous?.labels)) return
      this.#presence.forget()
      this.#clusters.kick((host ?? previous)?.clusterId ?? '')
    })
    for (const container of containers.all()) this.#kick(container)
    for (const { id } of clusters.all()) this.#clusters.kickAfter(id, HostPresence.startGrace)
    this.#loop.start()
    this.#clusters.start()
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    await Promise.all([this.#loop.stop(), this.#clusters.stop()])
  }

  /** A host's agent opened (or closed) its connection. */
  connectionChanged(hostId: string, connected: boolean): void {
    this.#presence.connectionChanged(hostId, connected)
    const clusterId = this.#model.hosts.get(hostId)?.clusterId
    if (clusterId === undefined) return
    if (connected) this.#clusters.kick(clusterId)
    else this.#clusters.kickAfter(clusterId, HostPresence.lostAfter)
  }

  /** When a host's agent went, in milliseconds of the monotonic clock; undefined while it is there, and when it was never seen. */
  lostAt(hostId: string): number | undefined {
    return this.#presence.lostAt(hostId)
  }

  /** Takes in what a host says of containers that it checks. */
  take(hostId: string, verdicts: readonly HealthVerdict[]): void {
    const host = this.#model.hosts.get(hostId)
    if (host === undefined) return
    const isMember = (uuid: string) => this.#hostByUuid(host.clusterId, uuid) !== undefined
    const now = this.#clock.monotonic()
    for (const verdict of verdicts) {
      const container = this.#model.containers.find('uuid', verdict.containerUuid)
      if (container?.clusterId !== host.clusterId) continue
      if (!this.#ballots.take(container, host, verdict, isMember, now)) continue
      this.#log.debug(
        { container: container.name, host: host.name, verdict: verdict.verdict, reason: verdict.reason },
        'a health check found something',
      )
      this.#loop.kick(container.id)
    }
  }

  /** What each checker of a container says now. */
  checkerStates(container: Container): CheckerState[] {
    const now = this.#clock.monotonic()
    const known = this.#ballots.checkers(container.id)
    return (container.health?.checkers ?? []).flatMap(uuid => {
      const host = this.#hostByUuid(container.clusterId, uuid)
      const vote = known.get(uuid)?.vote
      const verdict = vote !== undefined && vote.expires > now ? vote.verdict : 'unknown'
      const healthState = { up: 'healthy', down: 'unhealthy', unknown: 'initializing' } as const
      return host === undefined ? [] : [{ hostId: host.id, healthState: healthState[verdict] }]
    })
  }

  /** Most containers have no check: they are not looked at. */
  #kick(container: Container | undefined): void {
    if (container === undefined) return
    const { id, health } = container
    if (health !== undefined || this.#checkOf(container) !== undefined) this.#loop.kick(id)
  }

  #checkOf(container: Container): HealthCheck | undefined {
    return healthCheckOf(this.#model.services.get(container.serviceId ?? ''), container)
  }

  /** Hosts came or went: those of the checked containers that want another checker get one. */
  #checkersChanged(clusterId: string): Promise<ReconcileResult> {
    this.#presence.forget()
    for (const id of this.#ballots.identifiers()) {
      const container = this.#model.containers.get(id)
      if (container?.clusterId !== clusterId) continue
      this.#loop.kick(id)
    }
    return Promise.resolve(undefined)
  }

  async #reconcile(id: string): Promise<ReconcileResult> {
    const container = this.#model.containers.get(id)
    const check = container && container.state !== 'removing' ? this.#checkOf(container) : undefined
    if (container === undefined || check === undefined) {
      this.#ballots.delete(id)
      if (container?.health !== undefined && container.state !== 'removing') await this.#forgetHealth(id)
      return undefined
    }
    const now = this.#clock.monotonic()
    const checkers = this.#checkersOf(container)
    const since = this.#ballots.prepare(container, checkers, now)
    const { state, lookAgain } = judge({
      before: container.health,
      epoch: container.startCount,
      running: container.state === 'running',
      ...{ since, check, now },
      checkers: this.#ballots.forJudgement(id, uuid => this.#isConnected(container.clusterId, uuid)),
    })
    await this.#show(container, { state, epoch: container.startCount, checkers })
    return Number.isFinite(lookAgain) ? { requeueAfter: Math.max(1, lookAgain - now) } : undefined
  }

  /** A container that has no host yet is checked by nobody: which ones may do it is not known. */
  #checkersOf({ hostId, health, clusterId }: Container): readonly string[] {
    const own = this.#model.hosts.get(hostId ?? '')?.uuid
    const current = health?.checkers ?? []
    if (own === undefined) return current
    const candidates = this.#presence.candidates(clusterId)
    return assignCheckers({ own, current, candidates, random: Math.random })
  }

  async #show(container: Container, health: ContainerHealth): Promise<void> {
    if (isDeepStrictEqual(container.health, health)) return
    if (container.health !== undefined && container.health.state !== health.state) {
      const { state: before } = container.health
      this.#log.info({ container: container.name, before, now: health.state }, 'its health changed')
    }
    await this.#model.containers.update(container.id, current => {
      // What was decided is about that run, and about nothing else.
      const stale = current.startCount !== health.epoch || current.state === 'removing'
      return stale || isDeepStrictEqual(current.health, health) ? current : { ...current, health }
    })
  }

  async #forgetHealth(id: string): Promise<void> {
    await this.#model.containers.update(id, current => {
      const { health, ...rest } = current
      return health === undefined ? current : rest
    })
  }

  #isConnected(clusterId: string, hostUuid: string): boolean {
    const host = this.#hostByUuid(clusterId, hostUuid)
    return host !== undefined && this.#presence.connected(host.id)
  }

  #hostByUuid(clusterId: string, uuid: string): Host | undefined {
    const host = this.#model.hosts.find('uuid', uuid)
    return host?.clusterId === clusterId ? host : undefined
  }
}
