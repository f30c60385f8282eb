/** Addresses behind names: of services, sidekicks and containers; found out when asked, kept until they change. */
import { AddressSet, type Endpoint } from '../../../dns/index.ts'
import type { InstanceInfo, ServiceInfo } from '../../../protocol/index.ts'
import { changedObject, type MetadataModel, nameKey, type ObjectChange } from '../model/index.ts'
import { addressOf } from '../requesters/index.ts'

/** Names that are kept; more than are asked for on one host, and every one can be found again. */
const CAPACITY = 16_384

function isHealthy({ state, healthState }: InstanceInfo, service: ServiceInfo): boolean {
  if (state !== 'running' && state !== 'starting') return false
  if (healthState === undefined) return service.healthCheck === undefined
  return healthState === 'healthy' || healthState === 'updating-healthy'
}

function serviceKey(serviceUuid: string, sidekick: string | undefined): string {
  return `service ${serviceUuid} ${sidekick?.toLowerCase() ?? ''}`
}

/** @param stackUuid undefined: wherever in the environment */
function containerKey(environmentUuid: string, name: string, stackUuid: string | undefined): string {
  return `container ${nameKey(environmentUuid, name)} ${stackUuid ?? ''}`
}

export class AddressBook {
  readonly #model: MetadataModel
  readonly #onForgotten: () => void
  readonly #sets = new Map<string, AddressSet>()

  /** @param onForgotten called when sets that were given out will not be kept current any more */
  constructor(model: MetadataModel, onForgotten: () => void) {
    this.#model = model
    this.#onForgotten = onForgotten
  }

  /** A service, or one of its sidekicks by its name. */
  service(service: ServiceInfo, sidekick?: string): AddressSet {
    const { uuid } = service
    return this.#set(serviceKey(uuid, sidekick), () => this.#serviceEndpoints(uuid, sidekick?.toLowerCase()))
  }

  /** Containers of a name, in a stack or wherever in the environment. */
  container(environmentUuid: string, name: string, stackUuid: string | undefined): AddressSet {
    return this.#set(containerKey(environmentUuid, name, stackUuid), () =>
      this.#model
        .list('instance', 'name', nameKey(environmentUuid, name))
        .filter(instance => stackUuid === undefined || instance.stackUuid === stackUuid)
        .flatMap(instance => this.#endpoint(instance, instance.state === 'running')),
    )
  }

  /** Finds out anew, when next asked, what `changes` may have altered. */
  forget(changes: readonly ObjectChange[]): void {
    for (const change of changes) {
      const { uuid, infoType } = changedObject(change)
      if (infoType === 'service') this.#invalidate(serviceKey(uuid, undefined))
      if (infoType !== 'instance') continue
      for (const version of [change.object, change.previous]) {
        if (version?.infoType === 'instance') this.#forgetInstance(version)
      }
      // Those that share its network have its address.
      for (const child of this.#model.list('instance', 'networkParent', uuid)) this.#forgetInstance(child)
    }
  }

  #forgetInstance({ environmentUuid, name, stackUuid, serviceUuid, sidekick }: InstanceInfo): void {
    this.#invalidate(containerKey(environmentUuid, name, undefined))
    if (stackUuid !== undefined) this.#invalidate(containerKey(environmentUuid, name, stackUuid))
    if (serviceUuid !== undefined) this.#invalidate(serviceKey(serviceUuid, sidekick))
  }

  #invalidate(key: string): void {
    this.#sets.get(key)?.invalidate()
  }

  #set(key: string, endpoints: () => readonly Endpoint[]): AddressSet {
    const present = this.#sets.get(key)
    if (present !== undefined) return present
    if (this.#sets.size >= CAPACITY) {
      this.#sets.clear()
      this.#onForgotten()
    }
    const set = new AddressSet(endpoints)
    this.#sets.set(key, set)
    return set
  }

  #serviceEndpoints(uuid: string, sidekick: string | undefined): readonly Endpoint[] {
    const service = this.#model.get('service', uuid)
    if (service === undefined) return []
    if (service.vip !== undefined && sidekick === undefined) return [{ address: service.vip, healthy: true }]
    return this.#model
      .list('instance', 'service', uuid)
      .filter(instance => instance.sidekick?.toLowerCase() === sidekick)
      .flatMap(instance => this.#endpoint(instance, isHealthy(instance, service)))
  }

  #endpoint(instance: InstanceInfo, healthy: boolean): Endpoint[] {
    const address = addressOf(instance, this.#model)
    return address === undefined ? [] : [{ address, healthy }]
  }
}
