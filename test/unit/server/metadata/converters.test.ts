/** Every field of every converted object. */
import t from 'tap'
import { metadataObject } from '../../../../protocol/index.ts'
import {
  environmentInfo,
  hostInfo,
  instanceInfo,
  networkInfo,
  serviceInfo,
  stackInfo,
} from '../../../../server/metadata/converters.ts'
import type { Container, Host, Network, Project, Service, Stack } from '../../../../server/model/index.ts'
import { launchConfig } from './world.ts'

const created = '2026-01-01T00:00:00.000Z'

const host: Host = {
  id: '1h7',
  uuid: 'host-uuid',
  name: 'node1',
  created,
  state: 'active',
  agentState: 'active',
  clusterId: '1c1',
  hostname: 'node1.example',
  nodeName: 'node1',
  keyHash: 'secret',
  agentIpAddress: '192.0.2.1',
  labels: { rack: 'a' },
  memory: 1024,
  milliCpu: 2000,
  localStorageMb: 5,
  info: { osInfo: { operatingSystem: 'x', kernelVersion: 'y', dockerVersion: 'z' }, agentVersion: 'v' },
}

const service: Service = {
  id: '1s4',
  uuid: 'service-uuid',
  name: 'Web',
  created,
  state: 'active',
  clusterId: '1c1',
  accountId: '1a5',
  stackId: '1st3',
  kind: 'service',
  externalIps: [],
  scale: 3,
  launchConfig: launchConfig('Web', {
    labels: { 'io.rancher.scheduler.global': 'true', tier: 'front' },
    environment: { PASSWORD: 'hidden' },
    ports: [
      { publicPort: 80, privatePort: 8080, protocol: 'tcp' },
      { address: '192.0.2.1', publicPort: 53, privatePort: 53, protocol: 'udp' },
    ],
    expose: ['9000/tcp'],
    dns: ['192.0.2.53'],
    dnsSearch: ['example.com'],
    memoryReservation: 1000,
    milliCpuReservation: 100,
  }),
  secondaryLaunchConfigs: [launchConfig('logger')],
  serviceLinks: [{ alias: 'db', name: 'data/mysql' }],
  dependsOn: [],
  metadata: { colour: { shade: 'blue' } },
  launchVersion: '1',
  batchSize: 1,
  startFirst: false,
  createIndex: 2,
}

const container: Container = {
  id: '1i9',
  uuid: 'container-uuid',
  name: 'shop-Web-1',
  created,
  state: 'running',
  clusterId: '1c1',
  accountId: '1a5',
  stackId: '1st3',
  serviceId: '1s4',
  deploymentUnitId: '1du6',
  launchConfigName: 'Web',
  serviceIndex: '1',
  hostId: '1h7',
  identity: 'container-uuid',
  externalId: 'f'.repeat(64),
  image: 'busybox',
  command: ['sh'],
  hostname: 'shop-web-1',
  labels: { tier: 'front' },
  primaryIpAddress: '10.42.0.11',
  primaryIpv6Address: 'fd42::a2a:b',
  primaryMacAddress: '02:d0:0a:2a:00:0b',
  networkMode: 'managed',
  ports: [{ address: '0.0.0.0', publicPort: 80, privatePort: 8080, protocol: 'tcp' }],
  startCount: 2,
  createIndex: 1,
  nativeContainer: false,
  hidden: false,
  system: false,
}

const relations = {
  environmentUuid: 'environment-uuid',
  host,
  stackUuid: 'stack-uuid',
  service,
  deploymentUnitUuid: 'unit-uuid',
  networkUuid: 'network-uuid',
  networkFromContainerUuid: undefined,
}

t.test('a container of a service', async t => {
  const info = instanceInfo(container, relations)
  t.strictSame(info, {
    infoType: 'instance',
    uuid: 'container-uuid',
    infoTypeId: '1i9',
    environmentUuid: 'environment-uuid',
    name: 'shop-Web-1',
    hostname: 'shop-web-1',
    state: 'running',
    createIndex: 1,
    startCount: 2,
    nativeContainer: false,
    system: false,
    ports: [
      {
        bindIpAddress: '0.0.0.0',
        agentIpAddress: '192.0.2.1',
        publicPort: 80,
        privatePort: 8080,
        protocol: 'tcp',
      },
    ],
    dns: ['192.0.2.53'],
    dnsSearch: ['example.com'],
    labels: { tier: 'front' },
    links: [],
    healthCheckHosts: [],
    expose: ['9000/tcp'],
    externalId: 'f'.repeat(64),
    primaryIp: '10.42.0.11',
    primaryIpv6: 'fd42::a2a:b',
    primaryMacAddress: '02:d0:0a:2a:00:0b',
    hostUuid: 'host-uuid',
    stackUuid: 'stack-uuid',
    serviceUuid: 'service-uuid',
    networkUuid: 'network-uuid',
    deploymentUnitUuid: 'unit-uuid',
    serviceIndex: '1',
    memoryReservation: 1000,
    milliCpuReservation: 100,
  })
  t.ok(metadataObject.accepts(info))
})

t.test('a sidekick says whose it is', async t => {
  const info = instanceInfo({ ...container, launchConfigName: 'logger' }, relations)
  t.equal(info.sidekick, 'logger')
  t.strictSame(info.dns, [])
})

t.test('a container that belongs to nothing has no empty fields', async t => {
  const { serviceId, stackId, deploymentUnitId, launchConfigName, serviceIndex, hostname, ...rest } =
    container
  const info = instanceInfo(rest, {
    environmentUuid: 'environment-uuid',
    host: undefined,
    stackUuid: undefined,
    service: undefined,
    deploymentUnitUuid: undefined,
    networkUuid: undefined,
    networkFromContainerUuid: 'other-uuid',
  })
  for (const key of [
    'stackUuid',
    'serviceUuid',
    'hostUuid',
    'networkUuid',
    'sidekick',
    'memoryReservation',
  ]) {
    t.notOk(key in info, key)
  }
  t.equal(info.networkFromContainerUuid, 'other-uuid')
  t.ok(metadataObject.accepts(info))
})

t.test('a service', async t => {
  const info = serviceInfo(service, 'environment-uuid', 'stack-uuid', 'the-token')
  t.strictSame(info, {
    infoType: 'service',
    uuid: 'service-uuid',
    infoTypeId: '1s4',
    environmentUuid: 'environment-uuid',
    name: 'Web',
    stackUuid: 'stack-uuid',
    kind: 'service',
    state: 'active',
    scale: 3,
    global: true,
    token: 'the-token',
    externalIps: [],
    sidekicks: ['logger'],
    ports: ['80:8080/tcp', '192.0.2.1:53:53/udp'],
    expose: ['9000/tcp'],
    links: [{ alias: 'db', name: 'data/mysql' }],
    labels: { 'io.rancher.scheduler.global': 'true', tier: 'front' },
    metadata: { colour: { shade: 'blue' } },
    createIndex: 2,
  })
  t.ok(metadataObject.accepts(info))
  t.notMatch(JSON.stringify(info), /hidden/, 'the environment of its containers is nobody else’s business')
})

t.test('everything else', async t => {
  const stack: Stack = {
    id: '1st3',
    uuid: 'stack-uuid',
    name: 'shop',
    created,
    state: 'active',
    clusterId: '1c1',
    accountId: '1a5',
    templates: { 'docker-compose.yml': 'secret: yes' },
    answers: {},
    system: false,
  }
  const network: Network = {
    id: '1n2',
    uuid: 'network-uuid',
    name: 'managed',
    created,
    state: 'active',
    clusterId: '1c1',
    kind: 'bridge',
    isDefault: true,
    hostPorts: true,
    subnets: [],
    dns: [],
    defaultPolicyAction: 'allow',
    options: {},
    keyVersion: 1,
    policy: [],
  }
  const project: Project = {
    id: '1a5',
    uuid: 'environment-uuid',
    name: 'Default',
    created,
    state: 'active',
    clusterId: '1c1',
    clusterOwner: false,
    externalId: 'default',
  }
  const infos = [
    stackInfo(stack, 'environment-uuid'),
    hostInfo(host, 'system-uuid', ['10.42.0.64/26']),
    networkInfo(network, 'system-uuid'),
    environmentInfo(project),
  ]
  for (const info of infos) t.ok(metadataObject.accepts(info), info.infoType)
  t.strictSame(infos, [
    {
      infoType: 'stack',
      uuid: 'stack-uuid',
      infoTypeId: '1st3',
      environmentUuid: 'environment-uuid',
      name: 'shop',
      system: false,
    },
    {
      infoType: 'host',
      uuid: 'host-uuid',
      infoTypeId: '1h7',
      environmentUuid: 'system-uuid',
      name: 'node1',
      agentIp: '192.0.2.1',
      hostname: 'node1.example',
      nodeName: 'node1',
      state: 'active',
      agentState: 'active',
      labels: { rack: 'a' },
      milliCpu: 2000,
      memory: 1024,
      localStorageMb: 5,
      blocks: ['10.42.0.64/26'],
    },
    {
      infoType: 'network',
      uuid: 'network-uuid',
      infoTypeId: '1n2',
      environmentUuid: 'system-uuid',
      name: 'managed',
      kind: 'bridge',
      hostPorts: true,
      default: true,
      metadata: {},
      defaultPolicyAction: 'allow',
      policy: [],
    },
    {
      infoType: 'environment',
      uuid: 'environment-uuid',
      infoTypeId: '1a5',
      environmentUuid: 'environment-uuid',
      name: 'Default',
      externalId: 'default',
      system: false,
    },
  ])
})
