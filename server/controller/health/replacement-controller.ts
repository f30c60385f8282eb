/** Replaces units of services that are unhealthy or stranded, and says how services and stacks are. */
import {
  type Clock,
  type Daemon,
  type Logger,
  ReconcileLoop,
  type ReconcileResult,
  systemClock,
} from '../../../kit/index.ts'
import {
  type Container,
  type DeploymentUnit,
  healthCheckOf,
  isServing,
  type Model,
  type Service,
} from '../../model/index.ts'
import { markRemoving } from '../cluster-controller.ts'
import { planReplacements, type UnitHealth } from './replacement.ts'
import { serviceHealth, stackHealth } from './summary.ts'

/** How long a replacement may take besides the time it has to become healthy, in milliseconds. */
const START_ALLOWANCE = 60_000

/**
 * A unit that never ran is stranded when its host's agent has been away, and itself been there, for so many milliseconds. An agent
 * that falls silent is given up after 30 s: by then Kubernetes, too, takes no more pods there.
 */
const STRANDED_AFTER = 15_000

/** What is known of hosts. */
interface HostsSeen {
  /** When a host's agent went, in milliseconds of the monotonic clock; undefined while it is there, and when it was never seen. */
  lostAt(hostId: string): number | undefined
}

export class ReplacementController implements Daemon {
  readonly name = 'replacement of unhealthy containers'
  readonly #model: Model
  readonly #hosts: HostsSeen
  readonly #log: Logger
  readonly #clock: Clock
  readonly #services: ReconcileLoop
  readonly #stacks: ReconcileLoop
  /** Service → index → when its replacement is given up. */
  readonly #under = new Map<string, Map<number, number>>()

  constructor(model: Model, hosts: HostsSeen, log: Logger, clock = systemClock) {
    this.#model = model
    this.#hosts = hosts
    this.#log = log
    this.#clock = clock
    this.#services = new ReconcileLoop({
      name: 'health of services',
      log,
      clock,
      reconcile: id => this.#reconcileService(id),
    })
    this.#stacks = new ReconcileLoop({
      name: 'health of stacks',
      log,
      clock,
      reconcile: id => this.#reconcileStack(id),
    })
  }

  start(): Promise<void> {
    const { containers, deploymentUnits, services, stacks } = this.#model
    containers.onChange((container, previous) => {
      const changed = (['state', 'health', 'ready'] as const).some(
        key => container?.[key] !== previous?.[key],
      )
      if (changed) this.#kick((container ?? previous)?.serviceId)
    })
    deploymentUnits.onChange((unit, previous) => {
      if (unit?.state !== previous?.state) this.#kick((unit ?? previous)?.serviceId)
    })
    services.onChange((service, previous) => {
      const { id, stackId } = service ?? previous ?? { id: '', stackId: '' }
      if (service?.scale !== previous?.scale || service?.launchConfig !== previous?.launchConfig)
        this.#kick(id)
      if (service?.healthState !== previous?.healthState) this.#stacks.kick(stackId)
    })
    for (const { id } of services.all()) this.#services.kick(id)
    for (const { id } of stacks.all()) this.#stacks.kick(id)
    this.#services.start()
    this.#stacks.start()
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    await Promise.all([this.#services.stop(), this.#stacks.stop()])
  }

  /** A host's agent opened (or closed) its connection: what never ran there may be stranded after a while. */
  connectionChanged(hostId: string, connected: boolean): void {
    if (connected) return
    for (const unit of this.#model.deploymentUnits.all()) {
      if (unit.hostId === hostId) this.#services.kickAfter(unit.serviceId, STRANDED_AFTER)
    }
  }

  #kick(serviceId: string | undefined): void {
    if (serviceId !== undefined) this.#services.kick(serviceId)
  }

  async #reconcileService(id: string): Promise<ReconcileResult> {
    const service = this.#model.services.get(id)
    if (service === undefined || service.state === 'removing' || service.kind !== 'service') {
      this.#under.delete(id)
      return undefined
    }
    const result = await this.#replace(service)
    const containers = this.#model.containers.where('service', id)
    const expected = service.scale * (1 + service.secondaryLaunchConfigs.length)
    const healthState = serviceHealth(containers, expected)
    await this.#model.services.update(id, current =>
      current.healthState === healthState || current.state === 'removing'
        ? current
        : { ...current, healthState },
    )
    return result
  }

  async #replace(service: Service): Promise<ReconcileResult> {
    const units = this.#model.deploymentUnits.where('service', service.id)
    const under = this.#under.get(service.id) ?? new Map<number, number>()
    const now = this.#clock.monotonic()
    const plan = planReplacements({
      scale: service.scale,
      units: units.map(unit => this.#healthOf(unit, service)),
      under,
      now,
    })
    for (const index of plan.ended) under.delete(index)
    for (const { id, serviceIndex } of plan.replace) {
      under.set(serviceIndex, now + initializingTimeout(service) + START_ALLOWANCE)
      await this.#replaceUnit(id, service)
    }
    if (under.size === 0) this.#under.delete(service.id)
    else this.#under.set(service.id, under)
    const strands = units.flatMap(unit => this.#strandsIn(unit) ?? []).filter(left => left > 0)
    const next = Math.min(...strands, ...[...under.values()].map(end => end - now))
    return Number.isFinite(next) ? { requeueAfter: Math.max(1, next) } : undefined
  }

  /** Milliseconds until a unit counts as stranded, 0 or less when it does; undefined while it may run. */
  #strandsIn({ id, hostId, created }: DeploymentUnit): number | undefined {
    const lostAt = hostId === undefined ? undefined : this.#hosts.lostAt(hostId)
    if (lostAt === undefined) return undefined
    const containers = this.#model.containers.where('unit', id)
    if (containers.some(({ startCount, externalId }) => startCount > 0 || externalId !== undefined))
      return undefined
    const away = this.#clock.monotonic() - lostAt
    return STRANDED_AFTER - Math.min(away, this.#clock.now() - Date.parse(created))
  }

  async #replaceUnit(unitId: string, service: Service): Promise<void> {
    for (const { id } of this.#model.containers.where('unit', unitId)) {
      await this.#model.containers.update(id, current =>
        current.health?.state === 'unhealthy'
          ? { ...current, health: { ...current.health, state: 'updating-unhealthy' } }
          : current,
      )
    }
    const unit = await this.#model.deploymentUnits.update(unitId, markRemoving)
    this.#log.warn({ service: service.name, unit: unit.name }, 'replacing a unit')
  }

  #healthOf(unit: DeploymentUnit, service: Service): UnitHealth {
    const containers = this.#model.containers.where('unit', unit.id)
    const check = (container: Container) => healthCheckOf(service, container)
    return {
      id: unit.id,
      serviceIndex: unit.serviceIndex,
      state: unit.state,
      stranded: (this.#strandsIn(unit) ?? 1) <= 0,
      healthy: containers.length > 0 && containers.every(each => isServing(each, check(each) !== undefined)),
      unhealthy: containers
        .filter(({ health }) => health?.state === 'unhealthy' || health?.state === 'updating-unhealthy')
        .flatMap(container => check(container) ?? []),
    }
  }

  async #reconcileStack(id: string): Promise<ReconcileResult> {
    const stack = this.#model.stacks.get(id)
    if (stack === undefined || stack.state === 'removing') return undefined
    const services = this.#model.services.where('stack', id).filter(({ state }) => state !== 'removing')
    const healthState = stackHealth(services.map(service => service.healthState))
    await this.#model.stacks.update(id, current =>
      current.healthState === healthState || current.state === 'removing'
        ? current
        : { ...current, healthState },
    )
    return undefined
  }
}

/** The longest that any container of the service may take to become healthy. */
function initializingTimeout({ launchConfig, secondaryLaunchConfigs }: Service): number {
  const configs = [launchConfig, ...secondaryLaunchConfigs]
  return Math.max(...configs.map(({ healthCheck }) => healthCheck?.initializingTimeout ?? 0))
}
