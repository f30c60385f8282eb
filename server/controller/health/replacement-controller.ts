/** Replaces units of services that are unhealthy, and says how services and stacks are. */
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

export class ReplacementController implements Daemon {
  readonly name = 'replacement of unhealthy containers'
  readonly #model: Model
  readonly #log: Logger
  readonly #clock: Clock
  readonly #services: ReconcileLoop
  readonly #stacks: ReconcileLoop
  /** Service → index → when its replacement is given up. */
  readonly #under = new Map<string, Map<number, number>>()

  constructor(model: Model, log: Logger, clock = systemClock) {
    this.#model = model
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
    if (under.size === 0) {
      this.#under.delete(service.id)
      return undefined
    }
    this.#under.set(service.id, under)
    return { requeueAfter: Math.max(1, Math.min(...under.values()) - now) }
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
    this.#log.warn({ service: service.name, unit: unit.name }, 'replacing an unhealthy unit')
  }

  #healthOf(unit: DeploymentUnit, service: Service): UnitHealth {
    const containers = this.#model.containers.where('unit', unit.id)
    const check = (container: Container) => healthCheckOf(service, container)
    return {
      id: unit.id,
      serviceIndex: unit.serviceIndex,
      state: unit.state,
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
