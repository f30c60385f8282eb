/** Keeps for every service the deployment units that it should have. */
import { randomUUID } from 'node:crypto'
import { type Daemon, type Logger, ReconcileLoop, type ReconcileResult } from '../../kit/index.ts'
import {
  type DeploymentUnit,
  healthCheckOf,
  isServing,
  type Model,
  type Service,
  type Stack,
  shownHealth,
} from '../model/index.ts'
import { markRemoving } from './cluster-controller.ts'
import { containerName, podName } from './unit-containers.ts'
import { type PlannedUnit, planUnits } from './unit-plan.ts'

export class ServiceController implements Daemon {
  readonly name = 'service controller'
  readonly #model: Model
  readonly #loop: ReconcileLoop

  constructor(model: Model, log: Logger) {
    this.#model = model
    this.#loop = new ReconcileLoop({ name: 'service', log, reconcile: id => this.#reconcile(id) })
  }

  start(): Promise<void> {
    const { services, deploymentUnits, containers, stacks } = this.#model
    services.onChange((service, previous) => this.#loop.kick((service ?? previous)?.id ?? ''))
    deploymentUnits.onChange((unit, previous) => this.#loop.kick((unit ?? previous)?.serviceId ?? ''))
    containers.onChange((container, previous) => {
      const serviceId = (container ?? previous)?.serviceId
      if (serviceId === undefined) return
      const same =
        container?.state === previous?.state &&
        container?.balancerProblem === previous?.balancerProblem &&
        (container && shownHealth(container)) === (previous && shownHealth(previous))
      if (same) return
      this.#loop.kick(serviceId)
      if (container?.state === 'running') this.#kickDependants(serviceId)
    })
    stacks.onChange((stack, previous) => {
      for (const { id } of services.where('stack', (stack ?? previous)?.id ?? '')) this.#loop.kick(id)
    })
    for (const service of services.all()) this.#loop.kick(service.id)
    this.#loop.start()
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  /** Services that wait for this one. */
  #kickDependants(serviceId: string): void {
    const service = this.#model.services.get(serviceId)
    if (service === undefined) return
    for (const other of this.#model.services.where('stack', service.stackId)) {
      if (other.dependsOn.includes(service.name)) this.#loop.kick(other.id)
    }
  }

  async #reconcile(id: string): Promise<ReconcileResult> {
    const service = this.#model.services.get(id)
    if (service === undefined) return undefined
    const stack = this.#model.stacks.get(service.stackId)
    if (service.state === 'removing' || stack === undefined || stack.state === 'removing') {
      await this.#remove(service)
      return undefined
    }
    const units = this.#model.deploymentUnits.where('service', id)
    const plan = planUnits(
      service,
      units.map(unit => this.#planned(unit, service)),
    )
    for (const unitId of plan.remove) await this.#model.deploymentUnits.update(unitId, markRemoving)
    if (this.#dependenciesRun(service)) {
      for (const index of plan.create) await this.#createUnit(stack, service, index)
    }
    await this.#showProgress(service, plan.settled)
    return undefined
  }

  #planned(unit: DeploymentUnit, service: Service): PlannedUnit {
    const containers = this.#model.containers.where('unit', unit.id)
    return {
      id: unit.id,
      state: unit.state,
      serviceIndex: unit.serviceIndex,
      launchVersion: unit.launchVersion,
      running:
        containers.length > 0 &&
        containers.every(container => isServing(container, healthCheckOf(service, container) !== undefined)),
    }
  }

  #dependenciesRun(service: Service): boolean {
    return service.dependsOn.every(name => {
      const dependency = this.#model.services.find('name', `${service.stackId}/${name}`)
      return (
        dependency === undefined ||
        dependency.scale === 0 ||
        this.#model.containers
          .where('service', dependency.id)
          .some(container => container.state === 'running')
      )
    })
  }

  async #createUnit(stack: Stack, service: Service, serviceIndex: number): Promise<void> {
    const uuid = randomUUID()
    const primary = containerName(stack, service, service.launchConfig, serviceIndex)
    await this.#model.deploymentUnits.create({
      uuid,
      name: primary,
      state: 'active',
      clusterId: service.clusterId,
      accountId: service.accountId,
      stackId: stack.id,
      serviceId: service.id,
      serviceIndex,
      launchVersion: service.launchVersion,
      externalId: podName(primary, uuid),
    })
  }

  async #showProgress(service: Service, settled: boolean): Promise<void> {
    const problem = this.#model.containers
      .where('service', service.id)
      .find(
        ({ state, transitioningMessage, balancerProblem }) =>
          state === 'error' || transitioningMessage !== undefined || balancerProblem !== undefined,
      )
    const message =
      problem === undefined
        ? undefined
        : `${problem.name}: ${problem.transitioningMessage ?? problem.balancerProblem}`
    await this.#model.services.update(service.id, current => {
      if (current.state === 'removing') return current
      const state = settled ? 'active' : current.state
      if (state === current.state && message === current.transitioningMessage) return current
      const { transitioningMessage: _before, ...rest } = current
      return { ...rest, state, ...(message === undefined ? {} : { transitioningMessage: message }) }
    })
  }

  async #remove(service: Service): Promise<void> {
    if (service.state !== 'removing') await this.#model.services.update(service.id, markRemoving)
    const units = this.#model.deploymentUnits.where('service', service.id)
    for (const { id } of units) await this.#model.deploymentUnits.update(id, markRemoving)
    if (units.length === 0) await this.#model.services.delete(service.id)
  }
}
