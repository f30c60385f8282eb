/**
 * Drover's constructs as the metadata model shows them. Pure: an object and the objects it belongs to in, one object of
 * the wire model out.
 */
import {
  type EnvironmentInfo,
  type HostInfo,
  type InstanceInfo,
  LABEL,
  type MetadataHealthCheck,
  type MetadataPort,
  type NetworkInfo,
  type ServiceInfo,
  type StackInfo,
} from '../../protocol/index.ts'
import {
  type Certificate,
  type Container,
  type HealthCheck,
  type Host,
  type LaunchConfig,
  type Network,
  type PortSpecification,
  type Project,
  type Service,
  type Stack,
  shownHealth,
} from '../model/index.ts'

/** What a container belongs to; absent where there is none. */
export interface ContainerRelations {
  readonly environmentUuid: string
  readonly host: Pick<Host, 'uuid' | 'agentIpAddress'> | undefined
  readonly stackUuid: string | undefined
  readonly service: Pick<Service, 'uuid' | 'launchConfig' | 'secondaryLaunchConfigs'> | undefined
  readonly deploymentUnitUuid: string | undefined
  readonly networkUuid: string | undefined
  /** The container whose network it shares. */
  readonly networkFromContainerUuid: string | undefined
}

type Present<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> }

/** The fields that have a value: an absent field and one that is undefined are different things in JSON. */
function present<T extends object>(fields: T): Present<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Present<T>
}

function launchConfigOf(
  container: Container,
  service: ContainerRelations['service'],
): LaunchConfig | undefined {
  if (service === undefined) return undefined
  return [service.launchConfig, ...service.secondaryLaunchConfigs].find(
    ({ name }) => name === container.launchConfigName,
  )
}

/** What those who check need to know; what follows from it is the server's business. */
function metadataHealthCheck(check: HealthCheck | undefined): MetadataHealthCheck | undefined {
  if (check === undefined) return undefined
  const { reinitializingTimeout: _later, strategy: _strategy, quorum: _quorum, ...rest } = check
  return rest
}

function instancePorts(container: Container, host: ContainerRelations['host']): MetadataPort[] {
  return container.ports.map(({ address, publicPort, privatePort, protocol }) => ({
    bindIpAddress: address,
    agentIpAddress: host?.agentIpAddress ?? '',
    publicPort,
    privatePort,
    protocol,
  }))
}

export function instanceInfo(container: Container, relations: ContainerRelations): InstanceInfo {
  const { service, host } = relations
  const config = launchConfigOf(container, service)
  const sidekick = config !== undefined && config !== service?.launchConfig
  return {
    infoType: 'instance',
    uuid: container.uuid,
    infoTypeId: container.id,
    environmentUuid: relations.environmentUuid,
    name: container.name,
    hostname: container.hostname ?? '',
    state: container.draining && container.state === 'running' ? 'stopping' : container.state,
    createIndex: container.createIndex,
    startCount: container.startCount,
    nativeContainer: container.nativeContainer,
    system: container.system,
    ports: instancePorts(container, host),
    dns: [...(config?.dns ?? [])],
    dnsSearch: [...(config?.dnsSearch ?? [])],
    labels: { ...container.labels },
    links: [],
    healthCheckHosts: [...(container.health?.checkers ?? [])],
    expose: [...(config?.expose ?? [])],
    ...present({
      externalId: container.externalId,
      primaryIp: container.primaryIpAddress,
      primaryIpv6: container.primaryIpv6Address,
      primaryMacAddress: container.primaryMacAddress,
      hostUuid: host?.uuid,
      stackUuid: relations.stackUuid,
      serviceUuid: service?.uuid,
      networkUuid: relations.networkUuid,
      networkFromContainerUuid: relations.networkFromContainerUuid,
      deploymentUnitUuid: relations.deploymentUnitUuid,
      serviceIndex: container.serviceIndex,
      sidekick: sidekick ? config.name : undefined,
      exitCode: container.exitCode,
      memoryReservation: config?.memoryReservation,
      milliCpuReservation: config?.milliCpuReservation,
      healthState: shownHealth(container),
      healthCheck: metadataHealthCheck(config?.healthCheck),
    }),
  }
}

function portText({ address, publicPort, privatePort, protocol }: PortSpecification): string {
  return `${address === undefined ? '' : `${address}:`}${publicPort}:${privatePort}/${protocol}`
}

/**
 * @param token secret; containers of this service, and nobody else, may read it
 * @param certificates those of the environment that a balancer names
 */
export function serviceInfo(
  service: Service,
  environmentUuid: string,
  stackUuid: string,
  token: string,
  certificates: readonly Pick<Certificate, 'name' | 'fingerprint'>[] = [],
): ServiceInfo {
  const { launchConfig } = service
  return {
    infoType: 'service',
    uuid: service.uuid,
    infoTypeId: service.id,
    environmentUuid,
    name: service.name,
    stackUuid,
    kind: service.kind,
    state: service.state,
    scale: service.scale,
    global: launchConfig.labels[LABEL.schedulerGlobal] === 'true',
    token,
    externalIps: [...service.externalIps],
    ...present({
      hostname: service.externalHostname,
      healthState: service.healthState,
      healthCheck: metadataHealthCheck(launchConfig.healthCheck),
      lbConfig: service.lbConfig,
      lbCertificates:
        certificates.length === 0
          ? undefined
          : certificates.map(({ name, fingerprint }) => ({ name, fingerprint })),
      lbTargetConfig: service.lbTargetConfig,
      drainTimeout: service.drainTimeout,
    }),
    sidekicks: service.secondaryLaunchConfigs.map(({ name }) => name),
    ports: launchConfig.ports.map(portText),
    expose: [...launchConfig.expose],
    links: service.serviceLinks.map(({ alias, name }) => ({ alias, name })),
    labels: { ...launchConfig.labels },
    metadata: { ...service.metadata },
    createIndex: service.createIndex,
  }
}

export function stackInfo(stack: Stack, environmentUuid: string): StackInfo {
  return {
    infoType: 'stack',
    uuid: stack.uuid,
    infoTypeId: stack.id,
    environmentUuid,
    name: stack.name,
    system: stack.system,
    ...present({ healthState: stack.healthState }),
  }
}

/** @param blocks the host's address blocks */
export function hostInfo(host: Host, environmentUuid: string, blocks: readonly string[]): HostInfo {
  return {
    infoType: 'host',
    uuid: host.uuid,
    infoTypeId: host.id,
    environmentUuid,
    name: host.name,
    agentIp: host.agentIpAddress,
    hostname: host.hostname,
    nodeName: host.nodeName,
    state: host.state,
    agentState: host.agentState,
    labels: { ...host.labels },
    milliCpu: host.milliCpu,
    memory: host.memory,
    localStorageMb: host.localStorageMb,
    blocks: [...blocks],
  }
}

export function networkInfo(network: Network, environmentUuid: string): NetworkInfo {
  return {
    infoType: 'network',
    uuid: network.uuid,
    infoTypeId: network.id,
    environmentUuid,
    name: network.name,
    kind: network.kind,
    hostPorts: network.hostPorts,
    default: network.isDefault,
    metadata: network.options.external === undefined ? {} : { ...network.options.external },
    defaultPolicyAction: network.defaultPolicyAction,
    policy: [...network.policy],
  }
}

export function environmentInfo(project: Project): EnvironmentInfo {
  return {
    infoType: 'environment',
    uuid: project.uuid,
    infoTypeId: project.id,
    environmentUuid: project.uuid,
    name: project.name,
    externalId: project.externalId,
    system: project.clusterOwner,
  }
}
