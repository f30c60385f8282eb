/** What is kept of the cluster's objects. */
import t from 'tap'
import {
  nodeRecordOf,
  podRecordOf,
  policyRecordOf,
  serviceRecordOf,
  sliceRecordOf,
} from '../../../../agent/cluster/records.ts'
import type { Service } from '../../../../protocol/kubernetes/index.ts'

const metadata = { name: 'web', namespace: 'shop' }

function service(spec: NonNullable<Service['spec']>, status?: Service['status']) {
  const { namespace: _, name: __, ...rest } = serviceRecordOf({ metadata, spec, ...(status && { status }) })
  return rest
}

t.test('services', async t => {
  const plain = { addresses: ['10.43.0.9'], publishesUnready: false, ports: [] }
  t.strictSame(service({ clusterIP: '10.43.0.9' }), plain)
  t.strictSame(
    service({
      clusterIPs: ['10.43.0.9'],
      ports: [
        { port: 80, nodePort: 30_080 },
        { name: 's', protocol: 'SCTP', port: 1 },
      ],
      externalIPs: ['198.51.100.1'],
      sessionAffinity: 'ClientIP',
      internalTrafficPolicy: 'Local',
      externalTrafficPolicy: 'Local',
    }),
    {
      ...plain,
      externalAddresses: ['198.51.100.1'],
      affinity: 10_800,
      insideLocal: true,
      outsideLocal: true,
      ports: [{ name: '', protocol: 'tcp', port: 80, nodePort: 30_080 }],
    },
  )
  const ingress = [{ ip: '198.51.100.2' }, { ip: '198.51.100.3', ipMode: 'Proxy' }, {}]
  const balanced = { loadBalancer: { ingress } }
  const spec = { type: 'LoadBalancer', clusterIP: '10.43.0.9' }
  t.strictSame(service(spec, balanced).externalAddresses, ['198.51.100.2'])
  const guarded = { ...spec, externalIPs: ['198.51.100.1'], loadBalancerSourceRanges: [' 192.0.2.0/24 '] }
  t.match(service(guarded, balanced), {
    externalAddresses: ['198.51.100.1'],
    guardedAddresses: ['198.51.100.2'],
    sourceRanges: ['192.0.2.0/24'],
  })
  const local = { ...spec, externalTrafficPolicy: 'Local', healthCheckNodePort: 30_500 }
  t.match(service(local), { outsideLocal: true, healthCheckPort: 30_500 })
  t.match(service({ ...spec, trafficDistribution: 'PreferSameNode' }), { prefersOwnHost: true })
  t.notOk('prefersOwnHost' in service({ ...spec, trafficDistribution: 'PreferClose' }))
})

t.test('endpoints', async t => {
  const states = [
    {},
    { ready: true, serving: true, terminating: false },
    { ready: false, serving: true, terminating: true },
    { ready: false, serving: false, terminating: true },
  ]
  const record = sliceRecordOf({
    metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    endpoints: states.map(conditions => ({ addresses: ['10.42.0.7'], conditions, nodeName: 'h1' })),
  })
  t.strictSame(
    record?.endpoints.map(({ ready, draining = false, node }) => [ready, draining, node]),
    [
      [true, false, 'h1'],
      [true, false, 'h1'],
      [false, true, 'h1'],
      [false, false, 'h1'],
    ],
  )
})

t.test('zones', async t => {
  const endpoint = { addresses: ['10.42.0.7'], hints: { forZones: [{ name: 'east' }] } }
  const record = sliceRecordOf({
    metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    endpoints: [endpoint],
  })
  t.match(record?.endpoints, [{ zones: ['east'] }])
  const labels = { 'topology.kubernetes.io/zone': 'east' }
  t.strictSame(nodeRecordOf({ metadata: { name: 'h1', labels } }), {
    namespace: '',
    name: 'h1',
    zone: 'east',
  })
  t.strictSame(nodeRecordOf({ metadata: { name: 'h1' } }), { namespace: '', name: 'h1' })
})

t.test('pods and policies', async t => {
  const spec = { containers: [{ name: 'main', image: 'x', ports: [{ name: 'http', containerPort: 80 }] }] }
  t.strictSame(podRecordOf({ metadata, spec }), {
    ...metadata,
    labels: {},
    namedPorts: [{ name: 'http', port: 80 }],
  })
  t.equal(podRecordOf({ metadata, spec: { ...spec, hostNetwork: true } }), undefined)
  t.equal(podRecordOf({ metadata, spec, status: { phase: 'Succeeded', podIP: '10.42.0.7' } }), undefined)
  const both = [{ ip: 'fd42::a2a:7' }, { ip: '10.42.0.7' }]
  const sixFirst = { phase: 'Running', podIP: 'fd42::a2a:7', podIPs: both } as const
  t.match(podRecordOf({ metadata, spec, status: sixFirst }), { address: '10.42.0.7' }, 'IPv4, wherever it is')
  t.notOk('address' in (podRecordOf({ metadata, spec, status: { ...sixFirst, podIPs: [] } }) ?? {}))
  t.strictSame(policyRecordOf({ metadata, spec: { policyTypes: ['Egress'] } }), {
    ...metadata,
    spec: { podSelector: {}, policyTypes: ['Egress'] },
  })
})
