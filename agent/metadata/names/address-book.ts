/** Addresses behind names: of services, sidekicks and containers; found out when asked, kept until they change. */
import {
  AddressSet,
  CanonicalName,
  dnsLabel,
  type Endpoint,
  type Found,
  isHostName,
  OWNED_DOMAINS,
  type PortRecord,
} from '../../../dns/index.ts'
import { parseIpv4 } from '../../../kit/index.ts'
import type { InstanceInfo, ServiceInfo } from '../../../protocol/index.ts'
import {
  changedObject,
  EVERY,
  linkedService,
  type MetadataModel,
  nameKey,
  type ObjectChange,
} from '../model/index.ts'
import { addressesOf } from '../requesters/index.ts'

/** Names that are kept; more than are asked for on one host, and every one can be found again. */
const CAPACITY = 16_384

function isHealthy({ state, healthState }: InstanceInfo, service: ServiceInfo): boolean {
  if (state !== 'running' && state !== 'starting') return false
  if (healthState === undefined) return service.healthCheck === undefined
  return healthState === 'healthy' || healthState === 'updating-healthy'
}

/** Between the label of a host and that of an environment: no stack has a name that begins so. */
export const HOSTS = '_hosts'

const DOMAIN = OWNED_DOMAINS[0]

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
  /** Sets of services that stand for others: any change may be one of theirs. */
  readonly #unions = new Set<AddressSet>()

  /** @param onForgotten called when sets that were given out will not be kept current any more */
  constructor(model: MetadataModel, onForgotten: () => void) {
    this.#model = model
    this.#onForgotten = onForgotten
  }

  /** A service, or one of its sidekicks by its name. */
  service(service: ServiceInfo, sidekick?: string): Found {
    const { uuid, kind, hostname = '', externalIps } = service
    if (kind === 'externalService' && externalIps.length === 0) {
      return isHostName(hostname) ? new CanonicalName(hostname) : 'empty'
    }
    const wanted = sidekick?.toLowerCase()
    const set = this.#set(
      serviceKey(uuid, sidekick),
      () => this.#serviceEndpoints(uuid, wanted),
      () => this.#servicePorts(uuid, wanted),
    )
    if (kind === 'dnsService') this.#unions.add(set)
    return set
  }

  /** A host, as records of ports name it: by its label, or by that and the address that a port is bound to. */
  host(label: string): Found | undefined {
    for (const host of this.#model.list('host', 'every', EVERY)) {
      const own = dnsLabel(host.name)
      if (label === own)
        return this.#set(`host ${host.uuid}`, () => [{ address: host.agentIp, healthy: true }])
      const address = label.startsWith(`${own}-`) ? label.slice(own.length + 1).replaceAll('-', '.') : ''
      if (parseIpv4(address) !== undefined) return new AddressSet(() => [{ address, healthy: true }])
    }
    return undefined
  }

  /** Full names of what has an address, as far as an environment (or, without one, anybody) sees it. */
  namesOf(address: string, environmentUuid: string | undefined): readonly string[] | undefined {
    const instances = (['anywhere', 'anywhereIpv6'] as const).flatMap(index =>
      this.#model.list('instance', index, address),
    )
    if (instances.length === 0) return undefined
    return instances
      .filter(instance => environmentUuid === undefined || instance.environmentUuid === environmentUuid)
      .flatMap(({ name, stackUuid, environmentUuid: owner }) => {
        const environment = this.#model.get('environment', owner)
        const stack = this.#model.get('stack', stackUuid)
        if (environment === undefined) return []
        const parts = [name, ...(stack === undefined ? [] : [stack.name]), dnsLabel(environment.name), DOMAIN]
        const full = parts.join('.').toLowerCase()
        return isHostName(full) ? [full] : []
      })
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
    for (const set of this.#unions) set.invalidate()
    for (const change of changes) {
      const { uuid, infoType } = changedObject(change)
      if (infoType === 'host') this.#invalidateHost(uuid)
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

  #invalidateHost(uuid: string): void {
    this.#sets.delete(`host ${uuid}`)
  }

  #invalidate(key: string): void {
    this.#sets.get(key)?.invalidate()
  }

  #set(key: string, endpoints: () => readonly Endpoint[], ports?: () => readonly PortRecord[]): AddressSet {
    const present = this.#sets.get(key)
    if (present !== undefined) return present
    if (this.#sets.size >= CAPACITY) {
      this.#sets.clear()
      this.#unions.clear()
      this.#onForgotten()
    }
    const set = new AddressSet(endpoints, ports)
    this.#sets.set(key, set)
    return set
  }

  #serviceEndpoints(uuid: string, sidekick: string | undefined): readonly Endpoint[] {
    const service = this.#model.get('service', uuid)
    if (service === undefined) return []
    if (service.kind === 'externalService') {
      return service.externalIps.map(address => ({ address, healthy: true }))
    }
    if (service.kind === 'dnsService') {
      return this.#linked(service, new Set()).flatMap(target =>
        this.#serviceEndpoints(target.uuid, undefined),
      )
    }
    if (service.vip !== undefined && sidekick === undefined) return [{ address: service.vip, healthy: true }]
    return this.#model
      .list('instance', 'service', uuid)
      .filter(instance => instance.sidekick?.toLowerCase() === sidekick)
      .flatMap(instance => this.#endpoint(instance, isHealthy(instance, service)))
  }

  /** What a service that stands for others leads to in the end; links may go in circles. */
  #linked(service: ServiceInfo, seen: Set<string>): readonly ServiceInfo[] {
    if (seen.has(service.uuid)) return []
    seen.add(service.uuid)
    if (service.kind !== 'dnsService') return [service]
    return service.links.flatMap(({ name }) => {
      const target = linkedService(this.#model, service, name)
      return target === undefined ? [] : this.#linked(target, seen)
    })
  }

  /** Published ports of the containers, as they are reached on the hosts. */
  #servicePorts(uuid: string, sidekick: string | undefined): readonly PortRecord[] {
    const service = this.#model.get('service', uuid)
    if (service === undefined) return []
    const instances = this.#model
      .list('instance', 'service', uuid)
      .filter(instance => instance.sidekick?.toLowerCase() === sidekick)
    const healthy = instances.filter(instance => isHealthy(instance, service))
    return (healthy.length > 0 ? healthy : instances.slice(-1)).flatMap(instance => this.#ports(instance))
  }

  #ports({ ports, hostUuid, environmentUuid }: InstanceInfo): PortRecord[] {
    const host = this.#model.get('host', hostUuid)
    const environment = this.#model.get('environment', environmentUuid)
    if (host === undefined || environment === undefined) return []
    return ports.flatMap(({ bindIpAddress, privatePort, publicPort, protocol }) => {
      if (protocol !== 'tcp' && protocol !== 'udp') return []
      const everywhere = bindIpAddress === '' || bindIpAddress === '0.0.0.0' || bindIpAddress === '::'
      const label = dnsLabel(everywhere ? host.name : `${host.name}-${bindIpAddress}`)
      return [
        {
          name: String(privatePort),
          protocol,
          port: publicPort,
          target: `${label}.${HOSTS}.${dnsLabel(environment.name)}.${DOMAIN}`,
          address: everywhere ? host.agentIp : bindIpAddress,
        },
      ]
    })
  }

  #endpoint(instance: InstanceInfo, healthy: boolean): Endpoint[] {
    return addressesOf(instance, this.#model).map(address => ({ address, healthy }))
  }
}
