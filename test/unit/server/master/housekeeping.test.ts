/** Pods that nobody else ends, Endpoints, and what quotas say. */
import t from 'tap'
import type { EndpointSlice, Frozen, Pod, Service } from '../../../../server/master/apiserver/index.ts'
import { endpointsOf } from '../../../../server/master/controllers/legacy-endpoints-plan.ts'
import { surplusPods } from '../../../../server/master/controllers/pod-collector.ts'
import { ManualClock } from './manual-clock.ts'
import { runPods } from './running-pods.ts'
import { eventually, node, pod, temporaryMaster } from './temporary-master.ts'

const PODS = '/api/v1/namespaces/default/pods'

t.test('pods of nodes that are gone', async t => {
  const clock = new ManualClock()
  const { ask } = await temporaryMaster(t, { clock })
  for (const name of ['n1', 'n2']) await ask('/api/v1/nodes', { method: 'POST', body: node(name) })
  for (const name of ['n1', 'n2', 'never'])
    await ask(PODS, { method: 'POST', body: pod(`on-${name}`, { nodeName: name }) })
  await ask('/api/v1/nodes/n1', { method: 'DELETE' })
  clock.advance(30_000)
  t.equal((await ask(PODS)).body.items.length, 3, 'it may come back')
  clock.advance(10_000)
  await eventually(async () => {
    const { items } = (await ask(PODS)).body
    return items.length === 1 && items[0].metadata.name === 'on-n2'
  }, 'they are gone')
})

t.test('ended pods that are too many', async t => {
  const ended = (name: string, phase: string) =>
    ({
      metadata: { name, creationTimestamp: `2026-01-01T00:00:0${name}Z` },
      status: { phase },
    }) as unknown as Frozen<Pod>
  const pods = [ended('3', 'Failed'), ended('1', 'Succeeded'), ended('2', 'Running'), ended('4', 'Succeeded')]
  t.strictSame(
    surplusPods(pods, 1).map(({ metadata }) => metadata.name),
    ['1', '3'],
  )
  t.strictSame(surplusPods(pods, 3), [])
})

t.test('endpoints', async t => {
  const master = await temporaryMaster(t)
  const { ask } = master
  await ask('/api/v1/nodes', { method: 'POST', body: node('n1') })
  await runPods(t, master)
  const place = '/api/v1/namespaces/default/endpoints/web'
  await ask('/api/v1/namespaces/default/services', {
    method: 'POST',
    body: {
      metadata: { name: 'web', labels: { a: 'b' } },
      spec: { selector: { app: 'web' }, ports: [{ port: 80 }] },
    },
  })
  await eventually(async () => (await ask(place)).status === 200, 'they are there')
  await ask(PODS, { method: 'POST', body: pod('web', { nodeName: 'n1' }, { labels: { app: 'web' } }) })
  await ask(`${PODS}/web/status`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/merge-patch+json' },
    body: { status: { podIP: '10.42.0.5' } },
  })
  const filled = await eventually(async () => {
    const { body } = await ask(place)
    return body.subsets?.[0]?.addresses !== undefined && body
  }, 'the pod is in them')
  t.match(filled, {
    metadata: { labels: { a: 'b', 'endpoints.kubernetes.io/managed-by': 'endpoint-controller' } },
    subsets: [
      {
        addresses: [{ ip: '10.42.0.5', nodeName: 'n1', targetRef: { kind: 'Pod', name: 'web' } }],
        ports: [{ port: 80, protocol: 'TCP' }],
      },
    ],
  })
  await ask('/api/v1/namespaces/default/services/web', { method: 'DELETE' })
  await eventually(async () => (await ask(place)).status === 404, 'they went with the service')
})

t.test('endpoints from slices', async t => {
  const service = {
    metadata: { name: 's', namespace: 'd' },
    spec: { clusterIP: 'None' },
  } as unknown as Frozen<Service>
  const slice = (port: number, ...endpoints: object[]) =>
    ({
      addressType: 'IPv4',
      ports: [{ name: '', port, protocol: 'TCP' }],
      endpoints,
    }) as unknown as Frozen<EndpointSlice>
  const at = (ip: string, conditions: object) => ({ addresses: [ip], conditions })
  const made = endpointsOf(service, [
    slice(1, at('b', { ready: true }), at('c', { ready: false })),
    slice(1, at('a', { ready: true }), at('d', { ready: false, terminating: true })),
    slice(2, at('e', { ready: true })),
  ])
  t.strictSame(made.subsets, [
    {
      addresses: [{ ip: 'a' }, { ip: 'b' }],
      notReadyAddresses: [{ ip: 'c' }],
      ports: [{ port: 1, protocol: 'TCP' }],
    },
    { addresses: [{ ip: 'e' }], ports: [{ port: 2, protocol: 'TCP' }] },
  ])
  t.match(made.metadata.labels, { 'service.kubernetes.io/headless': '' })
  const many = slice(1, ...Array.from({ length: 1001 }, (_, index) => at(`${index}`, { ready: true })))
  const large = endpointsOf(service, [many])
  t.match(large.subsets, [{ addresses: { length: 1000 } }])
  t.match(large.metadata.annotations, { 'endpoints.kubernetes.io/over-capacity': 'truncated' })
})

t.test('quotas say what is used', async t => {
  const { ask } = await temporaryMaster(t)
  const quotas = '/api/v1/namespaces/default/resourcequotas'
  await ask(quotas, {
    method: 'POST',
    body: {
      metadata: { name: 'q' },
      spec: { hard: { pods: '3', 'requests.cpu': '2', 'count/deployments.apps': '5' } },
    },
  })
  const used = (wanted: object) =>
    eventually(async () => {
      const { status } = (await ask(`${quotas}/q`)).body
      return JSON.stringify(status?.used) === JSON.stringify(wanted)
    }, JSON.stringify(wanted))
  await used({ pods: '0', 'requests.cpu': '0', 'count/deployments.apps': '0' })
  const containers = [{ name: 'main', image: 'x:1', resources: { requests: { cpu: '500m' } } }]
  await ask(PODS, { method: 'POST', body: pod('p', { containers }) })
  await used({ pods: '1', 'requests.cpu': '500m', 'count/deployments.apps': '0' })
  await ask(`${PODS}/p`, { method: 'DELETE' })
  await used({ pods: '0', 'requests.cpu': '0', 'count/deployments.apps': '0' })
})
