/** Keeps endpoint slices of services without a selector, from the Endpoints that somebody keeps for them. */
import { ENDPOINT_SLICES, ENDPOINTS, type ObjectName, SERVICES } from '../apiserver/index.ts'
import { unlessAbsent, unlessNamespaceEnds } from './absence.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { MIRRORED_BY, planMirrors } from './endpoint-mirror-plan.ts'
import { nameOf, ObjectLoop } from './object-loop.ts'
import { hasSelector } from './service-endpoints.ts'
import { ServiceSlices } from './service-slices.ts'

export class EndpointMirrorController implements Controller {
  readonly #client: ControllerOptions['client']
  readonly #loop: ObjectLoop
  readonly #slices: ServiceSlices

  constructor(options: ControllerOptions) {
    this.#client = options.client
    this.#slices = new ServiceSlices(options.client, MIRRORED_BY)
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
    await this.#loop.follow(ENDPOINTS)
    await this.#slices.follow(this.#loop, service => this.#loop.kick(service))
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  async #reconcile(target: ObjectName): Promise<void> {
    const service = await this.#client.get(SERVICES, target)
    const endpoints = await this.#client.get(ENDPOINTS, target)
    const plan = planMirrors(service, endpoints, await this.#slices.of(target))
    for (const draft of plan.update) await this.#client.update(ENDPOINT_SLICES, draft)
    await unlessNamespaceEnds(() => this.#slices.create(target, plan.create))
    for (const name of plan.remove) {
      await unlessAbsent(() => this.#client.delete(ENDPOINT_SLICES, { namespace: target.namespace, name }))
    }
  }
}
