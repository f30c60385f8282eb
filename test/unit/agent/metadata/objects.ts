/** Objects of the metadata model for tests. */
import type {
  EnvironmentInfo,
  HostInfo,
  InstanceInfo,
  MetadataObject,
  MetadataStep,
  NetworkInfo,
  ServiceInfo,
  StackInfo,
} from '../../../../protocol/index.ts'

let made = 0

function nextId(letters: string): string {
  made += 1
  return `1${letters}${made}`
}

export function environment(name: string, more: Partial<EnvironmentInfo> = {}): EnvironmentInfo {
  const uuid = more.uuid ?? `environment-${name.toLowerCase()}`
  return {
    infoType: 'environment',
    uuid,
    infoTypeId: nextId('a'),
    environmentUuid: uuid,
    name,
    externalId: name.toLowerCase(),
    system: false,
    ...more,
  }
}

export function host(name: string, more: Partial<HostInfo> = {}): HostInfo {
  return {
    infoType: 'host',
    uuid: `host-${name}`,
    infoTypeId: nextId('h'),
    environmentUuid: 'environment-system',
    name,
    agentIp: '192.0.2.1',
    hostname: `${name}.example`,
    nodeName: name,
    state: 'active',
    agentState: 'active',
    labels: { rack: 'r1' },
    milliCpu: 2000,
    memory: 4_000_000_000,
    localStorageMb: 10_000,
    blocks: [],
    ...more,
  }
}

export function network(name: string): NetworkInfo {
  return {
    infoType: 'network',
    uuid: `network-${name}`,
    infoTypeId: nextId('n'),
    environmentUuid: 'environment-system',
    name,
    kind: 'bridge',
    hostPorts: true,
    default: true,
    metadata: {},
    defaultPolicyAction: 'allow',
    policy: [],
  }
}

export function stack(name: string, owner: EnvironmentInfo, more: Partial<StackInfo> = {}): StackInfo {
  return {
    infoType: 'stack',
    uuid: `stack-${owner.name}-${name}`.toLowerCase(),
    infoTypeId: nextId('st'),
    environmentUuid: owner.uuid,
    name,
    system: false,
    ...more,
  }
}

export function service(name: string, owner: StackInfo, more: Partial<ServiceInfo> = {}): ServiceInfo {
  return {
    infoType: 'service',
    uuid: `service-${owner.uuid}-${name}`.toLowerCase(),
    infoTypeId: nextId('s'),
    environmentUuid: owner.environmentUuid,
    name,
    stackUuid: owner.uuid,
    kind: 'service',
    state: 'active',
    scale: 1,
    global: false,
    token: `token-of-${owner.name}-${name}`,
    externalIps: [],
    sidekicks: [],
    ports: [],
    expose: [],
    links: [],
    labels: {},
    metadata: {},
    createIndex: 1,
    ...more,
  }
}

/** A container of an environment, or of a service when one is given. */
export function container(
  name: string,
  owner: EnvironmentInfo | ServiceInfo,
  more: Partial<InstanceInfo> = {},
): InstanceInfo {
  return {
    infoType: 'instance',
    uuid: `container-${name}`.toLowerCase(),
    infoTypeId: nextId('i'),
    environmentUuid: owner.environmentUuid,
    name,
    hostname: name,
    state: 'running',
    createIndex: 1,
    startCount: 1,
    nativeContainer: false,
    system: false,
    ports: [],
    dns: [],
    dnsSearch: [],
    labels: {},
    links: [],
    healthCheckHosts: [],
    expose: [],
    ...(owner.infoType === 'service' ? { serviceUuid: owner.uuid, stackUuid: owner.stackUuid } : {}),
    ...more,
  }
}

/** A step of the generation `g`. */
export function step(
  from: number,
  sequence: number,
  updates: readonly MetadataObject[],
  removes: readonly string[] = [],
): MetadataStep {
  return {
    full: false,
    generation: 'g',
    from,
    sequence,
    more: false,
    updates: [...updates],
    removes: [...removes],
  }
}
