/** Keeps Endpoints of services with a selector, for programs that do not know endpoint slices. */
import { isDeepStrictEqual } from 'node:util'
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
import { endpointsOf } from './legacy-endpoints-plan.ts'
import { nameOf, ObjectLoop } from './object-loop.ts'
import { hasSelector, MANAGED_BY } from './service-endpoints.ts'
import { ServiceSlices } from './service-slices.ts'

/** Milliseconds for which changes of slices are collected. */
const COLLECT = 50

export class LegacyEndpointsController implements Controller {
  readonly #client: ControllerOptions['client']
  readonly #loop: ObjectLoop
  readonly #slices: ServiceSlices

  constructor(options: ControllerOptions) {
    this.#client = options.client
    this.#slices = new ServiceSlices(options.client, MANAGED_BY)
    this.#loop = new ObjectLoop('endpoints', options, async target => {
      await this.#reconcile(target)
      return undefined
    })
  }

  async start(): Promise<void> {
    await this.#loop.observe(SERVICES, {
      seen: service => this.#loop.kick(nameOf(service)),
      removed: service => this.#loop.kick(nameOf(service)),
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
    const service = this.#slices.seen(slice)
    if (service !== undefined) this.#loop.kickAfter(service, COLLECT)
  }

  async #reconcile(target: ObjectName): Promise<void> {
    const service = await this.#client.get(SERVICES, target)
    if (service === undefined) {
      // Those of a service with a selector are ours; others go with nobody.
      await unlessAbsent(() => this.#client.delete(ENDPOINTS, target))
      return
    }
    if (!hasSelector(service)) return
    const wanted = endpointsOf(service, await this.#slices.of(target))
    const present = await this.#client.get(ENDPOINTS, target)
    try {
      if (present === undefined) await this.#client.create(ENDPOINTS, wanted)
      else if (
        !isDeepStrictEqual(present.subsets, wanted.subsets) ||
        !isDeepStrictEqual(present.metadata.labels, wanted.metadata.labels)
      ) {
        const { resourceVersion = '' } = present.metadata
        await this.#client.update(ENDPOINTS, { ...wanted, metadata: { ...wanted.metadata, resourceVersion } })
      }
    } catch (error) {
      // The namespace began to go, and the endpoints with it.
      const expected = ['NotFound', 'Forbidden', 'AlreadyExists']
      if (!(error instanceof StatusError) || !expected.includes(error.reason)) throw error
    }
  }
}
