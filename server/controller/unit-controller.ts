/** Keeps one pod per deployment unit, and ends it with the unit. */
import { type Daemon, type Logger, ReconcileLoop, type ReconcileResult } from '../../kit/index.ts'
import { type Container, type DeploymentUnit, isServing, type Model, type Service } from '../model/index.ts'
import type { BalancerReports } from './balancer-reports.ts'
import { markRemoving } from './cluster-controller.ts'
import type { PodObservation, PodWriter } from './pod-writer.ts'
import { ensureUnitContainers } from './unit-containers.ts'

/** How often a pod that was refused or cannot be placed is looked at, in milliseconds. */
const REFUSED_RETRY = 30_000

/** How often a unit whose clients are waited for is looked at, in milliseconds. */
const DRAIN_LOOK_INTERVAL = 1_000

export class UnitController implements Daemon {
  readonly name = 'deployment unit controller'
  readonly #model: Model
  readonly #pods: PodWriter
  readonly #balancers: BalancerReports
  readonly #loop: ReconcileLoop

  constructor(model: Model, pods: PodWriter, balancers: BalancerReports, log: Logger) {
    this.#model = model
    this.#pods = pods
    this.#balancers = balancers
    this.#loop = new ReconcileLoop({
      name: 'deployment unit',
      log,
      concurrency: 16,
      backoff: { initial: 200, maximum: 5_000 },
      reconcile: id => this.#reconcile(id),
    })
  }

  start(): Promise<void> {
    const { deploymentUnits, services } = this.#model
    deploymentUnits.onChange((unit, previous) => this.#loop.kick((unit ?? previous)?.id ?? ''))
    services.onChange((service, previous) => {
      if (service !== undefined) return
      for (const { id } of deploymentUnits.where('service', previous?.id ?? '')) this.#loop.kick(id)
    })
    this.#pods.onChange(uuid => {
      const unit = deploymentUnits.find('uuid', uuid)
      if (unit !== undefined) this.#loop.kick(unit.id)
    })
    for (const unit of deploymentUnits.all()) this.#loop.kick(unit.id)
    this.#loop.start()
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  async #reconcile(id: string): Promise<ReconcileResult> {
    const unit = this.#model.deploymentUnits.get(id)
    if (unit === undefined) return undefined
    const service = this.#model.services.get(unit.serviceId)
    const stack = this.#model.stacks.get(unit.stackId)
    const project = this.#model.projects.require(unit.accountId)
    if (unit.state === 'removing' || service === undefined || stack === undefined) {
      const draining = stack === undefined ? 0 : await this.#drain(unit, service)
      if (draining > 0) return { requeueAfter: draining }
      const containers = this.#model.containers.where('unit', id)
      for (const container of containers) await this.#model.containers.update(container.id, markRemoving)
      if ((await this.#pods.remove(unit, project)) === 'terminating') return undefined
      for (const container of containers) await this.#model.containers.delete(container.id)
      await this.#model.deploymentUnits.delete(id)
      return undefined
    }
    const containers = await ensureUnitContainers(this.#model, stack, service, unit)
    const pod = await this.#pods.ensure({ unit, service, stack, project, containers })
    await this.#show(unit, containers, pod)
    // A refused pod has no changes to watch; what it was refused for may be mended all the same.
    return pod.problem === undefined ? undefined : { requeueAfter: REFUSED_RETRY }
  }

  /**
   * Leaves the containers of a unit that is to end the clients they have, for as long as the service says, or until the balancers
   * say that there are none.
   *
   * @returns milliseconds until it should be looked at again; 0 or less when they may end
   */
  async #drain(unit: DeploymentUnit, service: Service | undefined): Promise<number> {
    const { drainTimeout = 0 } = service ?? {}
    const containers = this.#model.containers.where('unit', unit.id)
    // One that does not work has no clients to be left.
    const serves = containers.some(container => isServing(container, false))
    if (drainTimeout === 0 || !serves) return 0
    if (unit.drainUntil !== undefined) {
      const left = Date.parse(unit.drainUntil) - Date.now()
      const since = drainTimeout - left
      // Balancers lead nobody to sidekicks.
      const targets = containers.filter(each => each.launchConfigName === service?.launchConfig.name)
      if (targets.every(container => this.#balancers.isDrained(container, since))) return 0
      return Math.min(left, DRAIN_LOOK_INTERVAL)
    }
    for (const { id } of containers) {
      await this.#model.containers.update(id, current => ({ ...current, draining: true as const }))
    }
    const drainUntil = new Date(Date.now() + drainTimeout).toISOString()
    await this.#model.deploymentUnits.update(unit.id, current => ({ ...current, drainUntil }))
    return Math.min(drainTimeout, DRAIN_LOOK_INTERVAL)
  }

  async #show(unit: DeploymentUnit, containers: readonly Container[], pod: PodObservation): Promise<void> {
    const host =
      pod.nodeName === undefined
        ? undefined
        : this.#model.hosts.find('node', `${unit.clusterId}/${pod.nodeName}`)
    if (host !== undefined && unit.hostId !== host.id) {
      await this.#model.deploymentUnits.update(unit.id, current =>
        current.state === 'removing' ? current : { ...current, hostId: host.id },
      )
    }
    for (const { id } of containers) {
      await this.#model.containers.update(id, current =>
        withReadiness(afterPlacement(current, host?.id, pod.problem), pod.ready?.get(current.uuid)),
      )
    }
  }
}

/** A container once its pod was placed, or could not be. */
function afterPlacement(
  container: Container,
  hostId: string | undefined,
  problem: string | undefined,
): Container {
  const { transitioningMessage: before, ...rest } = container
  if (hostId !== undefined) {
    if (container.state === 'creating') return { ...rest, state: 'starting', hostId }
    return container.hostId === hostId ? container : { ...container, hostId }
  }
  if (problem === undefined || container.state !== 'creating') return container
  const transitioningMessage = `Allocation failed: ${problem}`
  return before === transitioningMessage ? container : { ...container, transitioningMessage }
}

/** A container with what Kubernetes says of its readiness. */
function withReadiness(container: Container, ready: boolean | undefined): Container {
  return ready === undefined || container.ready === ready ? container : { ...container, ready }
}
