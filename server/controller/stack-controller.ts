/** Ends stacks and environments once everything in them is gone. */
import { type Daemon, type Logger, ReconcileLoop, type ReconcileResult } from '../../kit/index.ts'
import type { Model } from '../model/index.ts'
import { markRemoving } from './cluster-controller.ts'
import type { PodWriter } from './pod-writer.ts'

/** How often the removal of a namespace is looked at while it empties, in milliseconds. */
const NAMESPACE_RETRY = 500

export class StackController implements Daemon {
  readonly name = 'stack controller'
  readonly #model: Model
  readonly #pods: PodWriter
  readonly #stacks: ReconcileLoop
  readonly #projects: ReconcileLoop

  constructor(model: Model, pods: PodWriter, log: Logger) {
    this.#model = model
    this.#pods = pods
    this.#stacks = new ReconcileLoop({ name: 'stack', log, reconcile: id => this.#reconcileStack(id) })
    this.#projects = new ReconcileLoop({ name: 'project', log, reconcile: id => this.#reconcileProject(id) })
  }

  start(): Promise<void> {
    const { stacks, services, projects, containers } = this.#model
    stacks.onChange((stack, previous) => {
      this.#stacks.kick((stack ?? previous)?.id ?? '')
      if (stack === undefined) this.#projects.kick(previous?.accountId ?? '')
    })
    services.onChange((service, previous) => {
      if (service === undefined) this.#stacks.kick(previous?.stackId ?? '')
    })
    projects.onChange((project, previous) => this.#projects.kick((project ?? previous)?.id ?? ''))
    containers.onChange((container, previous) => {
      if (container === undefined) this.#projects.kick(previous?.accountId ?? '')
    })
    for (const stack of stacks.all()) this.#stacks.kick(stack.id)
    for (const project of projects.all()) this.#projects.kick(project.id)
    this.#stacks.start()
    this.#projects.start()
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    await Promise.all([this.#stacks.stop(), this.#projects.stop()])
  }

  async #reconcileStack(id: string): Promise<ReconcileResult> {
    const stack = this.#model.stacks.get(id)
    if (stack?.state !== 'removing') return undefined
    const services = this.#model.services.where('stack', id)
    for (const service of services) await this.#model.services.update(service.id, markRemoving)
    if (services.length === 0) await this.#model.stacks.delete(id)
    return undefined
  }

  async #reconcileProject(id: string): Promise<ReconcileResult> {
    const project = this.#model.projects.get(id)
    if (project?.state !== 'removing') return undefined
    const stacks = this.#model.stacks.where('project', id)
    for (const stack of stacks) await this.#model.stacks.update(stack.id, markRemoving)
    if (stacks.length > 0) return undefined
    const cluster = this.#model.clusters.get(project.clusterId)
    // The namespaces of a cluster that goes as a whole go with it; some of them cannot be removed alone.
    if (cluster !== undefined && cluster.state !== 'removing') {
      if ((await this.#pods.removeNamespace(project)) === 'terminating')
        return { requeueAfter: NAMESPACE_RETRY }
    }
    for (const container of this.#model.containers.where('project', id)) {
      await this.#model.containers.delete(container.id)
    }
    await this.#model.projects.delete(id)
    return undefined
  }
}
