/** Objects of the model as the metadata service shows them, in the words of each version. */
import type {
  EnvironmentInfo,
  HostInfo,
  InstanceInfo,
  MetadataHealthCheck,
  MetadataPort,
  NetworkInfo,
  ServiceInfo,
  StackInfo,
} from '../../../protocol/index.ts'
import { linkedService, type ModelReader, nameKey, type ObjectSequence, sequenceOf } from '../model/index.ts'
import { balancerView } from './balancer-view.ts'
import type { ContainerViews } from './container-views.ts'
import { hasHostId, listsNames, shownName, showsHostAddress, type Version } from './versions.ts'
import { LazyMap, ObjectList, type PlainMap, type PlainValue, type ViewValue } from './view-value.ts'

/** How objects are shown: to whom, and in which version's words. */
export interface ViewContext {
  readonly reader: ModelReader
  readonly version: Version
  readonly containers: ContainerViews
}

export function healthCheckView(check: MetadataHealthCheck | undefined): PlainMap {
  if (check === undefined || check.interval === 0) return {}
  return {
    health_check: {
      healthy_threshold: check.healthyThreshold,
      unhealthy_threshold: check.unhealthyThreshold,
      initializing_timeout: check.initializingTimeout,
      interval: check.interval,
      port: check.port,
      request_line: check.requestLine ?? '',
      response_timeout: check.responseTimeout,
    },
  }
}

/** `address:public:private/protocol`. */
export function portView(port: MetadataPort, version: Version): string {
  const { bindIpAddress, agentIpAddress, publicPort, privatePort, protocol } = port
  const everywhere = bindIpAddress === '' || bindIpAddress === '0.0.0.0'
  const anywhere = showsHostAddress(version) ? agentIpAddress : '0.0.0.0'
  return `${everywhere ? anywhere : bindIpAddress}:${publicPort}:${privatePort}/${protocol}`
}

function serviceLinks(service: ServiceInfo, { reader, version }: ViewContext): PlainMap {
  return Object.fromEntries(
    service.links.map(({ alias, name }) => [
      shownName(alias, version),
      linkedService(reader, service, name)?.uuid ?? null,
    ]),
  )
}

/** @param token shown to containers of the service only */
export function serviceView(service: ServiceInfo, context: ViewContext, token = ''): LazyMap {
  const { reader, version } = context
  const stack = reader.get('stack', service.stackUuid)
  const fields: PlainMap = {
    name: shownName(service.name, version),
    uuid: service.uuid,
    metadata_kind: 'service',
    stack_name: stack === undefined ? null : shownName(stack.name, version),
    stack_uuid: service.stackUuid,
    environment_name: reader.get('environment', service.environmentUuid)?.name ?? null,
    environment_uuid: service.environmentUuid,
    kind: service.kind,
    state: service.state,
    health_state: service.healthState ?? null,
    hostname: service.hostname ?? null,
    fqdn: service.fqdn ?? null,
    scale: service.scale,
    global: service.global,
    system: stack?.system ?? false,
    create_index: service.createIndex,
    selector: service.selector ?? null,
    external_ips: service.externalIps,
    primary_service_name: shownName(service.name, version),
    sidekicks: service.sidekicks.map(name => shownName(name, version)),
    ports: service.ports,
    expose: service.expose,
    labels: service.labels,
    metadata: service.metadata as PlainMap,
    links: serviceLinks(service, context),
    token,
    ...(service.vip === undefined ? {} : { vip: service.vip }),
    ...healthCheckView(service.healthCheck),
    ...balancerView(service, reader),
  }
  return new LazyMap(fields, { containers: () => serviceContainers(service, context) })
}

/** The containers that do the service's work; sidekicks are found among all containers. */
function serviceContainers(service: ServiceInfo, context: ViewContext): ViewValue {
  const own = context.reader
    .list('instance', 'service', service.uuid)
    .filter(({ sidekick }) => sidekick === undefined)
  if (listsNames(context.version)) return own.map(({ name }) => name)
  return containerList(sequenceOf(own), context)
}

export function containerList(
  instances: ObjectSequence<InstanceInfo>,
  context: ViewContext,
  findByName?: (name: string) => InstanceInfo | undefined,
): ObjectList {
  const { version, containers, reader } = context
  return ObjectList.of(instances, {
    show: instance => containers.show(instance, reader, version),
    shownName: name => shownName(name, version),
    ...(findByName === undefined ? {} : { findByName }),
  })
}

export function serviceList(services: ObjectSequence<ServiceInfo>, context: ViewContext): ObjectList {
  return ObjectList.of(services, {
    show: service => serviceView(service, context),
    shownName: name => shownName(name, context.version),
  })
}

export function stackView(stack: StackInfo, context: ViewContext): LazyMap {
  const { reader, version } = context
  const fields: PlainMap = {
    name: shownName(stack.name, version),
    uuid: stack.uuid,
    metadata_kind: 'stack',
    environment_name: reader.get('environment', stack.environmentUuid)?.name ?? null,
    environment_uuid: stack.environmentUuid,
    health_state: stack.healthState ?? null,
    system: stack.system,
  }
  const services = () => reader.sequence('service', 'stack', stack.uuid)
  return new LazyMap(fields, {
    services: () => (listsNames(version) ? services().names() : serviceList(services(), context)),
  })
}

export function stackList(stacks: ObjectSequence<StackInfo>, context: ViewContext): ObjectList {
  return ObjectList.of(stacks, {
    show: stack => stackView(stack, context),
    shownName: name => shownName(name, context.version),
  })
}

export function hostView(host: HostInfo, version: Version): PlainMap {
  return {
    name: host.name,
    uuid: host.uuid,
    metadata_kind: 'host',
    agent_ip: host.agentIp,
    hostname: host.hostname,
    state: host.state,
    agent_state: host.agentState,
    environment_uuid: host.environmentUuid,
    labels: host.labels,
    milli_cpu: host.milliCpu,
    memory: host.memory,
    local_storage_mb: host.localStorageMb,
    ...(hasHostId(version) ? { hostId: host.infoTypeId } : {}),
  }
}

export function networkView(network: NetworkInfo): PlainMap {
  return {
    name: network.name,
    uuid: network.uuid,
    metadata_kind: 'network',
    kind: network.kind,
    environment_uuid: network.environmentUuid,
    is_default: network.default,
    host_ports: network.hostPorts,
    metadata: network.metadata as PlainMap,
    default_policy_action: network.defaultPolicyAction,
    policy: network.policy as readonly PlainValue[],
  }
}

export function environmentView(environment: EnvironmentInfo): PlainMap {
  const { name, uuid, externalId, system } = environment
  return { name, uuid, metadata_kind: 'environment', external_id: externalId, system }
}

/** By the index of names instead of one after the other; only inside one environment. */
export function containerFinder(
  reader: ModelReader,
  environmentUuid: string,
): (name: string) => InstanceInfo | undefined {
  return name => reader.list('instance', 'name', nameKey(environmentUuid, name))[0]
}
