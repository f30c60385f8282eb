/** Containers as the metadata service shows them: the most numerous objects, so what was made once is kept. */
import type { InstanceInfo, MetadataObject } from '../../../protocol/index.ts'
import type { ModelReader } from '../model/index.ts'
import { keepJson } from './json-format.ts'
import { healthCheckView, portView } from './object-views.ts'
import { shownName, type Version } from './versions.ts'
import type { PlainMap } from './view-value.ts'

/** Views that are kept; the oldest go first. No more than the model keeps made: others are made anew anyway. */
const CAPACITY = 1_024

interface Kept {
  /** What it was made from. Objects of the model are never changed, only replaced. */
  readonly sources: readonly (MetadataObject | undefined)[]
  readonly view: PlainMap
}

export class ContainerViews {
  readonly #kept = new Map<string, Kept>()

  show(instance: InstanceInfo, reader: ModelReader, version: Version): PlainMap {
    const service = reader.get('service', instance.serviceUuid)
    const stack = reader.get('stack', instance.stackUuid)
    const environment = reader.get('environment', instance.environmentUuid)
    const parent = reader.get('instance', instance.networkFromContainerUuid)
    const links = linkedContainers(instance, reader)
    const sources = [instance, service, stack, environment, parent, ...Object.values(links)]
    const key = `${instance.uuid} ${version}`
    const kept = this.#kept.get(key)
    if (
      kept?.sources.length === sources.length &&
      kept.sources.every((source, at) => source === sources[at])
    ) {
      return kept.view
    }
    const reachable = instance.primaryIp === undefined ? (parent ?? instance) : instance
    const named = (object: MetadataObject | undefined) =>
      object === undefined ? null : shownName(object.name, version)
    const view = keepJson({
      ...identity(instance, version),
      ...addresses(reachable),
      ports: instance.ports.map(port => portView(port, version)),
      service_name: named(service),
      service_uuid: instance.serviceUuid ?? null,
      stack_name: named(stack),
      stack_uuid: instance.stackUuid ?? null,
      environment_name: environment?.name ?? null,
      links: Object.fromEntries(
        Object.entries(links).map(([alias, target]) => [shownName(alias, version), target?.uuid ?? null]),
      ),
    })
    this.#keep(key, { sources, view })
    return view
  }

  #keep(key: string, kept: Kept): void {
    this.#kept.delete(key)
    this.#kept.set(key, kept)
    if (this.#kept.size <= CAPACITY) return
    const oldest = this.#kept.keys().next().value
    if (oldest !== undefined) this.#kept.delete(oldest)
  }
}

/** Alias → container of that name in the same environment. */
function linkedContainers(
  { links, environmentUuid }: InstanceInfo,
  reader: ModelReader,
): Record<string, InstanceInfo | undefined> {
  return Object.fromEntries(
    links.map(({ alias, name }) => [
      alias,
      reader.list('instance', 'name', `${environmentUuid}/${name.toLowerCase()}`)[0],
    ]),
  )
}

function addresses({ primaryIp, primaryIpv6, primaryMacAddress }: InstanceInfo): PlainMap {
  return {
    primary_ip: primaryIp ?? null,
    ips: [primaryIp, primaryIpv6].filter(address => address !== undefined),
    primary_mac_address: primaryMacAddress ?? null,
  }
}

function identity(instance: InstanceInfo, version: Version): PlainMap {
  return {
    name: shownName(instance.name, version),
    uuid: instance.uuid,
    metadata_kind: 'container',
    hostname: instance.hostname,
    state: instance.state,
    health_state: instance.healthState ?? null,
    external_id: instance.externalId ?? null,
    labels: instance.labels,
    create_index: instance.createIndex,
    start_count: instance.startCount,
    service_index: instance.serviceIndex ?? '',
    host_uuid: instance.hostUuid ?? null,
    network_uuid: instance.networkUuid ?? null,
    network_from_container_uuid: instance.networkFromContainerUuid ?? null,
    environment_uuid: instance.environmentUuid,
    health_check_hosts: instance.healthCheckHosts,
    dns: instance.dns,
    dns_search: instance.dnsSearch,
    memory_reservation: instance.memoryReservation ?? null,
    milli_cpu_reservation: instance.milliCpuReservation ?? null,
    system: instance.system,
    ...healthCheckView(instance.healthCheck),
  }
}
