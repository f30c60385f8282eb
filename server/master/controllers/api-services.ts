/**
 * Says whether APIServices can be used, and keeps those of custom kinds. Clusters in which nobody else serves a part of the
 * API have no timers here, and nothing but definitions and APIServices is looked at.
 */
import { explainError, type ReconcileResult } from '../../../kit/index.ts'
import {
  API_SERVICES,
  type ApiService,
  AUTOMANAGED_LABEL,
  apiServiceName,
  CUSTOM_PRIORITIES,
  CUSTOM_RESOURCE_DEFINITIONS,
  type CustomResourceDefinition,
  ENDPOINT_SLICES,
  type EndpointSlice,
  type Frozen,
  type JsonValue,
  type KubernetesObject,
  localCondition,
  SERVICES,
  StatusError,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import {
  failedDiscovery,
  obstacle,
  PASSED,
  servedVersions,
  type Verdict,
  withVerdict,
} from './api-service-plan.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { ObjectLoop } from './object-loop.ts'

const SERVICE_LABEL = 'kubernetes.io/service-name'
/** Milliseconds until one that answers is asked again, and one that does not. */
const WELL = 30_000
const UNWELL = 5_000
/** The server looks after those of custom kinds from their beginning to their end. */
const AUTOMANAGED = 'true'

type Definition = Frozen<CustomResourceDefinition>

export interface ApiServiceControllerOptions extends ControllerOptions {
  /** Asks who serves it. Rejects with why there is no good answer. */
  readonly probe: (service: Frozen<ApiService>) => Promise<void>
}

export class ApiServiceController implements Controller {
  readonly #options: ApiServiceControllerOptions
  readonly #loop: ObjectLoop
  readonly #definitions = new Map<string, Definition>()
  /** Those that others serve, by name. */
  readonly #remote = new Map<string, Frozen<ApiService>>()
  /** Ends the looking at what is behind them. */
  #stopFollowing: readonly (() => void)[] | undefined

  constructor(options: ApiServiceControllerOptions) {
    this.#options = options
    this.#loop = new ObjectLoop('api services', options, ({ name }) => this.#reconcile(name))
  }

  async start(): Promise<void> {
    await this.#loop.observe(API_SERVICES, {
      seen: service => {
        const { name } = service.metadata
        if (service.spec.service === undefined) this.#remote.delete(name)
        else this.#remote.set(name, service)
        this.#kick(name)
      },
      // Those of what the server itself serves are as they should be from the beginning.
      concerns: text =>
        text.includes('"service":') || text.includes(`"${AUTOMANAGED_LABEL}":"${AUTOMANAGED}"`),
      removed: ({ metadata }) => {
        this.#remote.delete(metadata.name)
        this.#kick(metadata.name)
      },
    })
    await this.#loop.observe(CUSTOM_RESOURCE_DEFINITIONS, {
      seen: (definition, previous) => {
        this.#definitions.set(definition.metadata.name, definition)
        this.#kickVersions(definition, previous)
      },
      removed: definition => {
        this.#definitions.delete(definition.metadata.name)
        this.#kickVersions(definition)
      },
    })
    this.#loop.start()
  }

  async stop(): Promise<void> {
    this.#unfollow()
    await this.#loop.stop()
  }

  #kick(name: string): void {
    this.#loop.kick({ namespace: '', name })
  }

  #kickVersions(...definitions: readonly (Definition | undefined)[]): void {
    const names = definitions.flatMap(definition =>
      (definition?.spec.versions ?? []).map(({ name }) => apiServiceName(definition?.spec.group ?? '', name)),
    )
    for (const name of new Set(names)) this.#kick(name)
  }

  async #reconcile(name: string): Promise<ReconcileResult> {
    const { client } = this.#options
    const target = { namespace: '', name }
    const service = await client.get(API_SERVICES, target)
    const defined = [...this.#definitions.values()]
      .flatMap(servedVersions)
      .find(({ group, version }) => apiServiceName(group, version) === name)
    if (this.#remote.size === 0) this.#unfollow()
    if (service === undefined) {
      if (defined !== undefined) await this.#create(defined)
      return undefined
    }
    if (defined === undefined && service.metadata.labels?.[AUTOMANAGED_LABEL] === AUTOMANAGED) {
      await unlessAbsent(() => client.delete(API_SERVICES, target))
      return undefined
    }
    if (service.spec.service === undefined) {
      const { reason = '', message = '' } = localCondition(0)
      await this.#write(service, { status: 'True', reason, message })
      return undefined
    }
    await this.#follow()
    const verdict = await this.#judge(service)
    await this.#write(service, verdict)
    return { requeueAfter: verdict.status === 'True' ? WELL : UNWELL }
  }

  async #create({ group, version }: { readonly group: string; readonly version: string }): Promise<void> {
    try {
      await this.#options.client.create(API_SERVICES, {
        apiVersion: 'apiregistration.k8s.io/v1',
        kind: 'APIService',
        metadata: { name: apiServiceName(group, version), labels: { [AUTOMANAGED_LABEL]: AUTOMANAGED } },
        spec: {
          group,
          version,
          groupPriorityMinimum: CUSTOM_PRIORITIES.group,
          versionPriority: CUSTOM_PRIORITIES.version,
        },
      })
    } catch (error) {
      if (!(error instanceof StatusError) || error.reason !== 'AlreadyExists') throw error
    }
  }

  async #judge(service: Frozen<ApiService>): Promise<Verdict> {
    const { client, probe } = this.#options
    const { namespace = '', name = '' } = service.spec.service ?? {}
    const slices = await client.list(ENDPOINT_SLICES, namespace)
    const found = obstacle(
      service,
      await client.get(SERVICES, { namespace, name }),
      slices.filter(({ metadata }) => metadata.labels?.[SERVICE_LABEL] === name),
    )
    if (found !== undefined) return found
    try {
      await probe(service)
      return PASSED
    } catch (error) {
      return failedDiscovery(service, explainError(error))
    }
  }

  async #write(service: Frozen<ApiService>, verdict: Verdict): Promise<void> {
    const { client, clock } = this.#options
    const conditions = withVerdict(service, verdict, clock.now())
    if (conditions === service.status?.conditions) return
    await unlessAbsent(async () => {
      await client.patch(
        API_SERVICES,
        { namespace: '', name: service.metadata.name },
        {
          type: 'merge',
          part: 'status',
          body: { status: { conditions: conditions as unknown as JsonValue } },
        },
      )
    })
  }

  /** Looks at services and endpoints from now on: what becomes of them is told at once. */
  async #follow(): Promise<void> {
    if (this.#stopFollowing !== undefined) return
    this.#stopFollowing = []
    const { client } = this.#options
    const changed = (object: Frozen<KubernetesObject>, name: string | undefined) => {
      for (const [own, { spec }] of this.#remote)
        if (spec.service?.name === name && spec.service?.namespace === object.metadata.namespace)
          this.#kick(own)
    }
    const ofSlice = (slice: Frozen<EndpointSlice>) => changed(slice, slice.metadata.labels?.[SERVICE_LABEL])
    const ofService = (service: Frozen<KubernetesObject>) => changed(service, service.metadata.name)
    const stopSlices = await client.observe(ENDPOINT_SLICES, {
      sync: () => undefined,
      changed: ofSlice,
      removed: ofSlice,
    })
    const stopServices = await client.observe(SERVICES, {
      sync: () => undefined,
      changed: ofService,
      removed: ofService,
    })
    this.#stopFollowing = [stopSlices, stopServices]
  }

  #unfollow(): void {
    for (const stop of this.#stopFollowing ?? []) stop()
    this.#stopFollowing = undefined
  }
}
