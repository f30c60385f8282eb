/** Keeps Endpoints of services with a selector, for programs that do not know endpoint slices. */
import { isDeepStrictEqual } from 'node:util'
import { ENDPOINTS, type ObjectName, SERVICES } from '../apiserver/index.ts'
import { unlessAbsent, unlessNamespaceEnds } from './absence.ts'
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
    await this.#loop.follow(SERVICES)
    await this.#slices.follow(this.#loop, service => this.#loop.kickAfter(service, COLLECT))
    await this.#loop.observe(ENDPOINTS, {
      seen: () => undefined,
      // By somebody's hand: programs that read them miss them.
      removed: endpoints => this.#loop.kick(nameOf(endpoints)),
    })
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
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
    if (present === undefined) await unlessNamespaceEnds(() => this.#client.create(ENDPOINTS, wanted))
    else if (
      !isDeepStrictEqual(present.subsets, wanted.subsets) ||
      !isDeepStrictEqual(present.metadata.labels, wanted.metadata.labels)
    ) {
      const { resourceVersion = '' } = present.metadata
      const metadata = { ...wanted.metadata, resourceVersion }
      await unlessAbsent(() => this.#client.update(ENDPOINTS, { ...wanted, metadata }))
    }
  }
}
