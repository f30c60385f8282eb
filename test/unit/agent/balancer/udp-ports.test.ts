/** Who answers at a balancer's UDP ports. */
import t from 'tap'
import { balancerModel, udpPorts } from '../../../../agent/balancer/index.ts'
import { MetadataModel } from '../../../../agent/metadata/index.ts'
import type { MetadataObject, PortRule } from '../../../../protocol/index.ts'
import { container, environment, host, service, stack } from '../metadata/objects.ts'

const production = environment('Production')
const shop = stack('shop', production)
const [node1, node2] = [host('node1'), host('node2', { agentIp: '192.0.2.2' })]
const names = service('names', shop)
const one = container('names-1', names, { primaryIp: '10.42.0.1', hostUuid: node1.uuid })
const two = container('names-2', names, { primaryIp: '10.42.0.2', hostUuid: node2.uuid })
const far = service('far', shop, { kind: 'externalService', hostname: 'far.example' })
const sixth = service('sixth', shop, { kind: 'externalService', externalIps: ['fd00::1', '192.0.2.53'] })
const basic: MetadataObject[] = [production, shop, node1, node2, names, one, two, far, sixth]

function build(
  rules: Partial<PortRule>[],
  { more = [], labels = {} }: { more?: MetadataObject[]; labels?: Record<string, string> } = {},
) {
  const portRules = rules.map(rule => ({
    ...{ sourcePort: 53, protocol: 'udp' as const, targetPort: 5353, service: 'names', ...rule },
  }))
  const balancer = service('lb', shop, {
    kind: 'loadBalancerService',
    labels,
    lbConfig: { portRules, certificates: [] },
  })
  const reader = new MetadataModel()
  reader.apply([...basic, balancer, ...more], [])
  const input = { service: balancer, reader, hostUuid: node1.uuid, certificates: new Map() }
  const { model } = balancerModel({ ...input, previous: undefined })
  return { ...udpPorts(reader, balancer, node1.uuid), model }
}

const backends = (...args: Parameters<typeof build>) =>
  build(...args).ports.map(({ port, backends }) => [
    port,
    ...backends.map(each => `${each.address}:${each.port} ${each.weight}`),
  ])

t.test('every container of the service, by weight', async t => {
  t.strictSame(backends([{}]), [[53, '10.42.0.1:5353 1', '10.42.0.2:5353 1']])
  t.strictSame(backends([{ weight: 5 }, { sourcePort: 9, targetPort: 7 }]), [
    [9, '10.42.0.1:7 1', '10.42.0.2:7 1'],
    [53, '10.42.0.1:5353 5', '10.42.0.2:5353 5'],
  ])
  t.strictSame(backends([{}], { labels: { 'io.rancher.lb_service.target': 'only-local' } }), [
    [53, '10.42.0.1:5353 1'],
  ])
})

t.test('who is to end keeps its clients, who fails loses them', async t => {
  t.strictSame(backends([{}], { more: [{ ...one, state: 'stopping' }] }), [
    [53, '10.42.0.1:5353 0', '10.42.0.2:5353 1'],
  ])
  const failing = (each: typeof one) => ({ ...each, healthState: 'unhealthy' as const })
  t.strictSame(backends([{}], { more: [failing(one)] }), [[53, '10.42.0.2:5353 1']])
  t.strictSame(backends([{}], { more: [failing(one), failing(two)] }), [
    [53, '10.42.0.1:5353 1', '10.42.0.2:5353 1'],
  ])
})

t.test('HAProxy has TCP, the kernel UDP, also at the same port', async t => {
  const both = build([{}, { protocol: 'tcp' }])
  t.strictSame(
    both.model.frontends.map(({ name }) => name),
    ['drover-health', '53'],
  )
  t.equal(both.ports.length, 1)
  t.strictSame(
    build([{}]).model.frontends.map(({ name }) => name),
    ['drover-health'],
  )
})

t.test('what cannot be led to is told', async t => {
  t.match(build([{ service: 'far' }]), {
    ports: [{ port: 53, backends: [] }],
    problems: [/^rule 1: .*names/],
  })
  t.match(build([{ service: 'sixth' }]), {
    ports: [{ port: 53, backends: [{ address: '192.0.2.53' }] }],
    problems: [/^rule 1: /],
  })
})
