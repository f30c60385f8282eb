/** Keeps the endpoint slices of services with a selector: where their pods can be reached. */
import { isDeepStrictEqual } from 'node:util'
import { ReconcileLoop } from '../../../kit/index.ts'
import {
  ENDPOINT_SLICES,
  type EndpointSlice,
  type Frozen,
  NODES,
  type Node,
  PODS,
  type Pod,
  SERVICES,
  type Service,
} from '../apiserver/index.ts'
import { unlessAbsent, unlessNamespaceEnds } from './absence.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { PodIndex } from './pod-index.ts'
import {
  endpointTraits,
  hasSelector,
  MANAGED_BY,
  planSlices,
  selects,
  ZONE_LABEL,
} from './service-endpoints.ts'
import { ServiceSlices } from './service-slices.ts'

/** Milliseconds for which changes of pods are collected: those of a service tend to change together. */
const COLLECT = 50

function keyOf({ metadata }: Frozen<Service>): string {
  return `${metadata.namespace}/${metadata.name}`
}

function zoneOfNode({ metadata }: Frozen<Node>): string | undefined {
  return metadata.labels?.[ZONE_LABEL]
}

export class EndpointSliceController implements Controller {
  readonly #client: ControllerOptions['client']
  readonly #loop: ReconcileLoop
  readonly #stopObserving: (() => void)[] = []
  /** Services with a selector, by namespace and name. */
  readonly #services = new Map<string, Map<string, Frozen<Service>>>()
  readonly #pods = new PodIndex()
  /** By the name of the node. */
  readonly #zones = new Map<string, string>()
  readonly #slices: ServiceSlices

  constructor({ client, clock, log }: ControllerOptions) {
    this.#client = client
    this.#slices = new ServiceSlices(client, MANAGED_BY)
    this.#loop = new ReconcileLoop({
      name: 'endpoint slices',
      reconcile: async key => {
        const [namespace = '', name = ''] = key.split('/')
        await this.#reconcile(namespace, name)
        return undefined
      },
      log,
      clock,
    })
  }

  async start(): Promise<void> {
    const service = (object: Frozen<Service>) => this.#serviceChanged(object)
    const slice = (object: Frozen<EndpointSlice>) => this.#sliceChanged(object)
    this.#stopObserving.push(
      await this.#client.observe(NODES, {
        sync: nodes => {
          for (const node of nodes) this.#zoneSeen(node.metadata.name, zoneOfNode(node))
        },
        changed: node => this.#zoneSeen(node.metadata.name, zoneOfNode(node)),
        removed: node => this.#zoneSeen(node.metadata.name, undefined),
      }),
      await this.#client.observe(SERVICES, {
        sync: services => services.forEach(service),
        changed: service,
        removed: object => {
          this.#forgetService(object)
          this.#loop.kick(keyOf(object))
        },
      }),
      await this.#client.observe(PODS, {
        // Every service has been kicked.
        sync: () => undefined,
        changed: (pod, previous) => this.#podChanged(pod, previous),
        removed: pod => this.#podChanged(undefined, pod),
      }),
      await this.#client.observe(ENDPOINT_SLICES, {
        sync: slices => slices.forEach(slice),
        changed: slice,
        removed: slice,
      }),
    )
    this.#loop.start()
  }

  async stop(): Promise<void> {
    for (const stop of this.#stopObserving) stop()
    await this.#loop.stop()
  }

  /** Nodes change their zones hardly ever: whoever may have endpoints there is looked at. */
  #zoneSeen(node: string, zone: string | undefined): void {
    if (this.#zones.get(node) === zone) return
    if (zone === undefined) this.#zones.delete(node)
    else this.#zones.set(node, zone)
    for (const services of this.#services.values()) {
      for (const service of services.values()) this.#loop.kickAfter(keyOf(service), COLLECT)
    }
  }

  #serviceChanged(service: Frozen<Service>): void {
    if (hasSelector(service)) {
      const { namespace = '', name } = service.metadata
      const services = this.#services.get(namespace) ?? new Map<string, Frozen<Service>>()
      this.#services.set(namespace, services.set(name, service))
    } else if (!this.#forgetService(service)) return
    this.#loop.kick(keyOf(service))
  }

  /** @returns whether it was known */
  #forgetService({ metadata: { namespace = '', name } }: Frozen<Service>): boolean {
    const services = this.#services.get(namespace)
    const known = services?.delete(name) === true
    if (services?.size === 0) {
      this.#services.delete(namespace)
      this.#pods.forget(namespace)
    }
    return known
  }

  #podChanged(pod: Frozen<Pod> | undefined, previous: Frozen<Pod> | undefined): void {
    if (pod && previous && isDeepStrictEqual(endpointTraits(pod), endpointTraits(previous))) return
    if (pod !== undefined) this.#pods.put(pod)
    else if (previous !== undefined) this.#pods.remove(previous)
    const { namespace = '' } = (pod ?? previous)?.metadata ?? {}
    for (const service of this.#services.get(namespace)?.values() ?? []) {
      const concerned = [pod, previous].some(one => one && selects(service, one.metadata.labels))
      if (concerned) this.#loop.kickAfter(keyOf(service), COLLECT)
    }
  }

  #sliceChanged(slice: Frozen<EndpointSlice>): void {
    const service = this.#slices.seen(slice)
    if (service !== undefined) this.#loop.kickAfter(`${service.namespace}/${service.name}`, COLLECT)
  }

  async #reconcile(namespace: string, name: string): Promise<void> {
    const service = await this.#client.get(SERVICES, { namespace, name })
    const slices = await this.#slices.of({ namespace, name })
    if (service === undefined || !hasSelector(service)) {
      for (const { metadata } of slices) await this.#remove(namespace, metadata.name)
      return
    }
    const pods = await this.#pods.pods(namespace, () => this.#client.list(PODS, namespace))
    const plan = planSlices(service, pods, slices, node => this.#zones.get(node))
    for (const draft of plan.update) await this.#client.update(ENDPOINT_SLICES, draft)
    await unlessNamespaceEnds(() => this.#slices.create({ namespace, name }, plan.create))
    for (const gone of plan.remove) await this.#remove(namespace, gone)
  }

  async #remove(namespace: string, name: string): Promise<void> {
    await unlessAbsent(() => this.#client.delete(ENDPOINT_SLICES, { namespace, name }))
  }
}
