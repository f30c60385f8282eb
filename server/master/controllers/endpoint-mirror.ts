/** Keeps endpoint slices of services without a selector, from the Endpoints that somebody keeps for them. */
import {
  ENDPOINT_SLICES,
  ENDPOINTS,
  type EndpointSlice,
  type Frozen,
  type ObjectName,
  SERVICES,
  StatusError,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { MIRRORED_BY, planMirrors } from './endpoint-mirror-plan.ts'
import { nameOf, ObjectLoop } from './object-loop.ts'
import { hasSelector, MANAGED_BY_LABEL, SERVICE_NAME_LABEL } from './service-endpoints.ts'

function serviceOf({ metadata }: Frozen<EndpointSlice>): ObjectName | undefined {
  const { labels = {}, namespace = '' } = metadata
  const name = labels[SERVICE_NAME_LABEL]
  return name === undefined || labels[MANAGED_BY_LABEL] !== MIRRORED_BY ? undefined : { namespace, name }
}

export class EndpointMirrorController implements Controller {
  readonly #client: ControllerOptions['client']
  readonly #loop: ObjectLoop
  /** Names of our slices, by namespace and service; some may be gone. */
  readonly #slices = new Map<string, Set<string>>()

  constructor(options: ControllerOptions) {
    this.#client = options.client
    this.#loop = new ObjectLoop('mirrors of endpoints', options, async target => {
      await this.#reconcile(target)
      return undefined
    })
  }

  async start(): Promise<void> {
    await this.#loop.observe(SERVICES, {
      seen: (service, previous) => {
        // Of those with a selector, others take care; one that has just got one has mirrors to lose.
        if (!hasSelector(service) || (previous !== undefined && !hasSelector(previous)))
          this.#loop.kick(nameOf(service))
      },
      removed: service => this.#loop.kick(nameOf(service)),
    })
    await this.#loop.observe(ENDPOINTS, {
      seen: endpoints => this.#loop.kick(nameOf(endpoints)),
      removed: endpoints => this.#loop.kick(nameOf(endpoints)),
    })
    await this.#loop.observe(ENDPOINT_SLICES, {
      seen: slice => this.#sliceSeen(slice),
      removed: slice => this.#sliceSeen(slice),
    })
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  #sliceSeen(slice: Frozen<EndpointSlice>): void {
    const service = serviceOf(slice)
    if (service === undefined) return
    this.#remember(service, slice.metadata.name)
    this.#loop.kick(service)
  }

  #remember({ namespace, name }: ObjectName, slice: string): void {
    const key = `${namespace}/${name}`
    this.#slices.set(key, (this.#slices.get(key) ?? new Set()).add(slice))
  }

  async #slicesOf({ namespace, name }: ObjectName): Promise<readonly Frozen<EndpointSlice>[]> {
    const key = `${namespace}/${name}`
    const names = this.#slices.get(key) ?? new Set<string>()
    const slices: Frozen<EndpointSlice>[] = []
    for (const each of names) {
      const slice = await this.#client.get(ENDPOINT_SLICES, { namespace, name: each })
      if (slice !== undefined && serviceOf(slice)?.name === name) slices.push(slice)
      else names.delete(each)
    }
    if (names.size === 0) this.#slices.delete(key)
    return slices
  }

  async #reconcile(target: ObjectName): Promise<void> {
    const service = await this.#client.get(SERVICES, target)
    const endpoints = await this.#client.get(ENDPOINTS, target)
    const plan = planMirrors(service, endpoints, await this.#slicesOf(target))
    for (const draft of plan.update) await this.#client.update(ENDPOINT_SLICES, draft)
    try {
      for (const draft of plan.create) {
        const { metadata } = await this.#client.create(ENDPOINT_SLICES, draft)
        // The next look must know it, even before it is observed.
        this.#remember(target, metadata.name)
      }
    } catch (error) {
      // The namespace began to go, and the slices with it.
      const expected = ['NotFound', 'Forbidden']
      if (!(error instanceof StatusError) || !expected.includes(error.reason)) throw error
    }
    for (const name of plan.remove) {
      await unlessAbsent(() => this.#client.delete(ENDPOINT_SLICES, { namespace: target.namespace, name }))
    }
  }
}
