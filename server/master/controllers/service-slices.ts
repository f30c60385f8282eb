/** Finds the endpoint slices that one controller keeps for a service, of whatever names, without reading all slices. */
import {
  type ClusterClient,
  type Draft,
  ENDPOINT_SLICES,
  type EndpointSlice,
  type Frozen,
  type ObjectName,
} from '../apiserver/index.ts'
import type { ObjectLoop } from './object-loop.ts'
import { MANAGED_BY_LABEL, SERVICE_NAME_LABEL } from './service-endpoints.ts'

function keyOf({ namespace, name }: ObjectName): string {
  return `${namespace}/${name}`
}

export class ServiceSlices {
  readonly #client: ClusterClient
  readonly #keeper: string
  /** Names by the service; some may be gone. */
  readonly #names = new Map<string, Set<string>>()

  /** @param keeper whose slices: the value of their label `endpointslice.kubernetes.io/managed-by` */
  constructor(client: ClusterClient, keeper: string) {
    this.#client = client
    this.#keeper = keeper
  }

  /** Takes notice of all slices as long as `loop` observes. @param changed told of the service of each that comes, changes or goes */
  async follow(loop: ObjectLoop, changed: (service: ObjectName) => void): Promise<void> {
    const look = (slice: Frozen<EndpointSlice>) => {
      const service = this.seen(slice)
      if (service !== undefined) changed(service)
    }
    await loop.observe(ENDPOINT_SLICES, { seen: look, removed: look })
  }

  /** Takes notice of a slice that came, changed or went. @returns its service; undefined for slices of others */
  seen(slice: Frozen<EndpointSlice>): ObjectName | undefined {
    const service = this.#serviceOf(slice)
    if (service !== undefined) this.#remember(service, slice.metadata.name)
    return service
  }

  /** Makes slices for a service. @throws what the API says when it refuses one */
  async create(service: ObjectName, drafts: readonly Draft<EndpointSlice>[]): Promise<void> {
    for (const draft of drafts) {
      const { metadata } = await this.#client.create(ENDPOINT_SLICES, draft)
      // It must be known even before it is observed.
      this.#remember(service, metadata.name)
    }
  }

  /** Those of a service that are there; forgets the others. */
  async of(service: ObjectName): Promise<readonly Frozen<EndpointSlice>[]> {
    const { namespace, name } = service
    const names = this.#names.get(keyOf(service)) ?? new Set<string>()
    const slices: Frozen<EndpointSlice>[] = []
    for (const each of [...names]) {
      const slice = await this.#client.get(ENDPOINT_SLICES, { namespace, name: each })
      if (slice !== undefined && this.#serviceOf(slice)?.name === name) slices.push(slice)
      else names.delete(each)
    }
    if (names.size === 0) this.#names.delete(keyOf(service))
    return slices
  }

  #remember(service: ObjectName, slice: string): void {
    const key = keyOf(service)
    this.#names.set(key, (this.#names.get(key) ?? new Set()).add(slice))
  }

  #serviceOf({ metadata }: Frozen<EndpointSlice>): ObjectName | undefined {
    const { labels = {}, namespace = '' } = metadata
    const name = labels[SERVICE_NAME_LABEL]
    return name === undefined || labels[MANAGED_BY_LABEL] !== this.#keeper ? undefined : { namespace, name }
  }
}
