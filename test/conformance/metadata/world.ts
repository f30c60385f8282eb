/** A cluster with everything that metadata knows: what the golden files and the rules of names are asked of. */
import type { MetadataObject } from '../../../protocol/index.ts'
import { container, environment, host, network, service, stack } from '../../unit/agent/metadata/objects.ts'

/** Source addresses, all of the loopback. */
export const FROM = {
  host: '127.0.0.1',
  web: '127.0.0.11',
  db: '127.0.0.12',
  balancer: '127.0.0.13',
  native: '127.0.0.14',
  testing: '127.0.0.21',
  outside: '127.0.0.200',
} as const

const system = environment('System', { system: true })
const production = environment('Production')
const testing = environment('Testing')
const node1 = host('node1', { labels: { rack: 'r1', 'io.rancher.host.docker_version': '20.10' } })
const node2 = host('Node2', { agentIp: '192.0.2.2' })
const managed = network('managed')
const shop = stack('Shop', production, { healthState: 'healthy' })
const data = stack('data', production)
const infra = stack('infra', production, { system: true })
const shopOfTesting = stack('shop', testing)

const healthCheck = {
  port: 80,
  requestLine: 'GET /ping HTTP/1.0',
  interval: 2000,
  responseTimeout: 2000,
  healthyThreshold: 2,
  unhealthyThreshold: 3,
  initializingTimeout: 60_000,
}

const db = service('db', data, { healthState: 'healthy' })
const web = service('Web', shop, {
  scale: 3,
  sidekicks: ['Logger'],
  links: [
    { alias: 'Database', name: 'data/db' },
    { alias: 'mail', name: 'smtp' },
    { alias: 'gone', name: 'nothing' },
  ],
  ports: ['8080:80/tcp'],
  expose: ['9090/tcp'],
  labels: { tier: 'front', 'a/b c': 'd' },
  metadata: {
    colour: { shade: 'blue', levels: [1, 2.5, 'x', null, true] },
    'a key/with space': true,
    none: {},
  },
  healthCheck,
  healthState: 'degraded',
})
const lb = service('lb', shop, {
  kind: 'loadBalancerService',
  ports: ['80:80/tcp'],
  lbConfig: {
    certificates: [],
    portRules: [{ sourcePort: 80, protocol: 'http', path: '/api', targetPort: 80, service: 'Shop/Web' }],
  },
})
const smtp = service('smtp', shop, {
  kind: 'externalService',
  externalIps: ['198.51.100.25', '198.51.100.26'],
})
const partner = service('partner', shop, { kind: 'externalService', hostname: 'api.partner.example' })
const inner = service('inner', shop, { kind: 'externalService', hostname: 'db.data.rancher.internal' })
const shortcut = service('shortcut', shop, {
  kind: 'dnsService',
  links: [
    { alias: 'db', name: 'data/db' },
    { alias: 'smtp', name: 'smtp' },
  ],
})
/** Two that stand for each other, and one of them for something real. */
const ring1 = service('ring1', shop, {
  kind: 'dnsService',
  links: [
    { alias: 'a', name: 'ring2' },
    { alias: 'b', name: 'data/db' },
  ],
})
const ring2 = service('ring2', shop, { kind: 'dnsService', links: [{ alias: 'a', name: 'ring1' }] })
const kubernetes = service('kube', infra, { kind: 'kubernetesService', vip: '10.43.0.77' })
const monitor = service('monitor', infra, {
  global: true,
  scale: 2,
  labels: { 'io.rancher.scheduler.global': 'true' },
})
const sick = service('sick', data, { healthCheck })
const six = service('six', data)
const webOfTesting = service('web', shopOfTesting)

const here = { hostUuid: node1.uuid, networkUuid: managed.uuid }
const there = { hostUuid: node2.uuid, networkUuid: managed.uuid }
const published = {
  bindIpAddress: '0.0.0.0',
  agentIpAddress: '192.0.2.1',
  publicPort: 8080,
  privatePort: 80,
  protocol: 'tcp',
}

/** Objects in order of creation, which is the order of lists. */
export const objects: readonly MetadataObject[] = [
  ...[system, production, testing, node1, node2, managed, shop, data, infra, shopOfTesting],
  ...[
    db,
    web,
    lb,
    smtp,
    partner,
    inner,
    shortcut,
    ring1,
    ring2,
    kubernetes,
    monitor,
    sick,
    six,
    webOfTesting,
  ],
  container('Shop-Web-1', web, {
    ...here,
    primaryIp: FROM.web,
    primaryMacAddress: '02:d0:0a:2a:00:0b',
    externalId: 'e'.repeat(64),
    serviceIndex: '1',
    healthState: 'healthy',
    healthCheck,
    healthCheckHosts: [node2.uuid],
    labels: { tier: 'front', constructor: 'of houses' },
    ports: [
      published,
      { ...published, bindIpAddress: '198.51.100.1', publicPort: 53, privatePort: 53, protocol: 'udp' },
    ],
    memoryReservation: 1_000_000,
    milliCpuReservation: 250,
    dns: ['192.0.2.53'],
    dnsSearch: ['example.com'],
    startCount: 3,
  }),
  container('Shop-Web-2', web, {
    ...there,
    primaryIp: '10.42.1.12',
    serviceIndex: '2',
    healthState: 'healthy',
    createIndex: 2,
    ports: [{ ...published, agentIpAddress: '192.0.2.2' }],
  }),
  container('Shop-Web-3', web, {
    ...there,
    primaryIp: '10.42.1.13',
    serviceIndex: '3',
    healthState: 'unhealthy',
    createIndex: 3,
  }),
  container('Shop-Web-Logger-1', web, { ...here, sidekick: 'Logger', primaryIp: '10.42.0.19' }),
  container('data-db-1', db, { ...here, primaryIp: FROM.db }),
  container('shop-lb-1', lb, { ...here, primaryIp: FROM.balancer }),
  container('by-hand', production, { ...here, nativeContainer: true, primaryIp: FROM.native }),
  container('sharing', production, { hostUuid: node1.uuid, networkFromContainerUuid: 'container-by-hand' }),
  container('on-host', production, { hostUuid: node1.uuid }),
  container('infra-monitor-1', monitor, {
    ...here,
    primaryIp: '10.42.0.31',
    primaryIpv6: 'fd42::a2a:1f',
    system: true,
  }),
  container('infra-monitor-2', monitor, { ...there, primaryIp: '10.42.1.31', system: true }),
  container('data-sick-1', sick, { ...here, primaryIp: '10.42.0.41', healthState: 'unhealthy' }),
  container('data-sick-2', sick, {
    ...here,
    primaryIp: '10.42.0.42',
    healthState: 'unhealthy',
    createIndex: 2,
  }),
  container('data-six-1', six, { ...here, primaryIp: 'fd00:42::a' }),
  container('shop-web-1', webOfTesting, { uuid: 'container-testing-1', ...here, primaryIp: FROM.testing }),
]
