/** Endpoint slices: what they should say, and that they come to say it. */
import t from 'tap'
import type { EndpointSlice, Frozen, Pod, Service } from '../../../../server/master/apiserver/index.ts'
import { planSlices } from '../../../../server/master/controllers/service-endpoints.ts'
import { eventually, pod, temporaryMaster } from './temporary-master.ts'

const MERGE = { 'content-type': 'application/merge-patch+json' }
const SLICES = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices'
const PODS = '/api/v1/namespaces/default/pods'
const SERVICES = '/api/v1/namespaces/default/services'

function web(more: object = {}): Frozen<Service> {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'default', uid: 'u-web', labels: { tier: 'front' } },
    spec: {
      type: 'ClusterIP',
      clusterIP: '10.43.0.9',
      sessionAffinity: 'None',
      selector: { app: 'web' },
      ports: [{ name: 'http', protocol: 'TCP', port: 80, targetPort: 'http' }],
      ...more,
    },
    status: {},
  }
}

function webPod(
  index: number,
  more: { spec?: object; status?: object; metadata?: object; port?: number } = {},
): Frozen<Pod> {
  const { spec, status, metadata, port = 8080 } = more
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...{ name: `web-${index}`, namespace: 'default', uid: `u-${index}`, labels: { app: 'web' } },
      ...metadata,
    },
    spec: {
      nodeName: 'n1',
      restartPolicy: 'Always',
      containers: [{ name: 'main', ports: [{ name: 'http', containerPort: port, protocol: 'TCP' }] }],
      ...spec,
    },
    status: {
      phase: 'Running',
      podIP: `10.42.${index >> 8}.${index & 255}`,
      conditions: [{ type: 'Ready', status: 'True' }],
      ...status,
    },
  }
}

const unready = { conditions: [{ type: 'Ready' as const, status: 'False' as const }] }

/** The slices after a plan. */
function applied(plan: ReturnType<typeof planSlices>, slices: readonly Frozen<EndpointSlice>[] = []) {
  const updates = new Map(plan.update.map(draft => [draft.metadata.name, draft]))
  return [
    ...slices
      .filter(({ metadata }) => !plan.remove.includes(metadata.name))
      .map(slice => updates.get(slice.metadata.name) ?? slice),
    ...plan.create.map((draft, index) => ({
      ...draft,
      metadata: { ...draft.metadata, name: `made-${slices.length + index}` },
    })),
  ] as Frozen<EndpointSlice>[]
}

t.test('what a slice says', async t => {
  const [slice] = applied(planSlices(web(), [webPod(1)], []))
  t.match(slice, {
    addressType: 'IPv4',
    metadata: {
      generateName: 'web-',
      labels: {
        tier: 'front',
        'kubernetes.io/service-name': 'web',
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      },
      ownerReferences: [{ kind: 'Service', name: 'web', uid: 'u-web', controller: true }],
    },
    ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
    endpoints: [
      {
        addresses: ['10.42.0.1'],
        conditions: { ready: true, serving: true, terminating: false },
        nodeName: 'n1',
        targetRef: { kind: 'Pod', namespace: 'default', name: 'web-1', uid: 'u-1' },
      },
    ],
  })
  t.equal(slice?.endpoints?.[0]?.hostname, undefined)
})

t.test('which pods are in it, and how', async t => {
  const conditions = (one: Frozen<Pod>, service = web()) =>
    applied(planSlices(service, [one], []))[0]?.endpoints?.[0]?.conditions
  t.same(conditions(webPod(1, { status: unready })), { ready: false, serving: false, terminating: false })
  const deleted = { deletionTimestamp: '2026-01-01T00:00:00Z' }
  t.same(conditions(webPod(1, { metadata: deleted })), { ready: false, serving: true, terminating: true })
  t.same(conditions(webPod(1, { status: unready }), web({ publishNotReadyAddresses: true })), {
    ready: true,
    serving: false,
    terminating: false,
  })
  t.equal(conditions(webPod(1, { status: { phase: 'Succeeded' } })), undefined, 'one that is over')
  t.equal(conditions(webPod(1, { status: { podIP: '' } })), undefined, 'one without an address')
  t.equal(conditions(webPod(1, { metadata: { labels: { app: 'x' } } })), undefined, 'one of others')
  const named = { hostname: 'web-1', subdomain: 'web' }
  t.equal(
    applied(planSlices(web({ clusterIP: 'None' }), [webPod(1, { spec: named })], []))[0]?.endpoints?.[0]
      ?.hostname,
    'web-1',
  )
  const other = { hostname: 'web-1', subdomain: 'other' }
  t.equal(
    applied(planSlices(web(), [webPod(1, { spec: other })], []))[0]?.endpoints?.[0]?.hostname,
    undefined,
  )
})

t.test('zones, and hints for those whose clients are to stay in theirs', async t => {
  const zoneOf = (node: string) => (node === 'n1' ? 'east' : undefined)
  const endpoint = (one: Frozen<Pod>, spec: object = {}) =>
    applied(planSlices(web(spec), [one], [], zoneOf))[0]?.endpoints?.[0]
  t.match(endpoint(webPod(1)), { zone: 'east', hints: undefined })
  for (const trafficDistribution of ['PreferClose', 'PreferSameZone', 'PreferSameNode']) {
    const hints = { forZones: [{ name: 'east' }] }
    t.match(endpoint(webPod(1), { trafficDistribution }), { zone: 'east', hints })
    t.equal(endpoint(webPod(1, { status: unready }), { trafficDistribution })?.hints, undefined)
    t.match(endpoint(webPod(1, { spec: { nodeName: 'n2' } }), { trafficDistribution }), {
      zone: undefined,
      hints: undefined,
    })
  }
})

t.test('ports that are called differently are in slices of their own', async t => {
  const slices = applied(planSlices(web(), [webPod(1), webPod(2, { port: 9090 }), webPod(3)], []))
  t.same(
    slices.map(({ ports, endpoints }) => [ports?.[0]?.port, endpoints?.length]),
    [
      [8080, 2],
      [9090, 1],
    ],
  )
})

t.test('many pods, and little to write when one changes', async t => {
  const pods = Array.from({ length: 250 }, (_, index) => webPod(index))
  const slices = applied(planSlices(web(), pods, []))
  t.same(
    slices.map(({ endpoints }) => endpoints?.length),
    [100, 100, 50],
  )
  t.same(
    planSlices(web(), pods, slices),
    { create: [], update: [], remove: [] },
    'nothing when nothing changed',
  )
  const without = pods.filter((_, index) => index !== 150)
  const fewer = planSlices(web(), without, slices)
  t.same([fewer.create.length, fewer.update.length, fewer.remove.length], [0, 1, 0])
  const more = planSlices(web(), [...pods, webPod(300)], slices)
  t.same([more.create.length, more.update.length, more.remove.length], [0, 1, 0])
})

t.test('the last slice stays, empty, and is filled again', async t => {
  const slices = applied(planSlices(web(), [webPod(1)], []))
  const none = planSlices(web(), [], slices)
  t.match(none, { create: [], update: [{ endpoints: [], ports: [] }], remove: [] })
  const empty = applied(none, slices)
  t.same(planSlices(web(), [], empty), { create: [], update: [], remove: [] })
  const again = planSlices(web(), [webPod(2)], empty)
  t.same([again.create.length, again.update.length, again.remove.length], [0, 1, 0])
})

t.test('slices follow services and pods', async t => {
  const { ask } = await temporaryMaster(t)
  const slices = async () => (await ask(SLICES)).body.items as EndpointSlice[]
  const until = (what: string, check: (found: EndpointSlice[]) => boolean) =>
    eventually(async () => {
      const found = await slices()
      return check(found) ? found : undefined
    }, what)
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web' },
    spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
  }
  t.equal((await ask(SERVICES, { method: 'POST', body: service })).status, 201)
  const [made] = await until('an empty slice', found => found.length === 1)
  const body = pod('one', {}, { labels: { app: 'web' } })
  t.equal((await ask(PODS, { method: 'POST', body })).status, 201)
  const status = { phase: 'Running', podIP: '10.42.0.5', conditions: [{ type: 'Ready', status: 'True' }] }
  await ask(`${PODS}/one/status`, { method: 'PATCH', body: { status }, headers: MERGE })
  const [filled] = await until('the pod is in it', found => found[0]?.endpoints?.length === 1)
  t.equal(filled?.metadata.name, made?.metadata.name, 'the slice keeps its name')
  t.match(filled?.ports, [{ name: '', port: 8080, protocol: 'TCP' }])

  const name = filled?.metadata.name
  await ask(`${SLICES}/${name}`, { method: 'PATCH', body: { endpoints: [] }, headers: MERGE })
  await until('what somebody took out is back', found => found[0]?.endpoints?.length === 1)
  await ask(`${SLICES}/${name}`, { method: 'DELETE' })
  await until('a slice that somebody deleted is made again', found => found[0]?.endpoints?.length === 1)
  await ask(`${PODS}/one?gracePeriodSeconds=0`, { method: 'DELETE' })
  await until('the pod is out of it', found => (found[0]?.endpoints ?? []).length === 0)
  await ask(`${SERVICES}/web`, { method: 'DELETE' })
  await until('the slice goes with its service', found => found.length === 0)
})

t.test('slices of others are left alone', async t => {
  const { ask } = await temporaryMaster(t)
  const own = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'own', labels: { 'kubernetes.io/service-name': 'db' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['192.0.2.7'] }],
    ports: [{ port: 5432 }],
  }
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'db' },
    spec: { ports: [{ port: 5432 }] },
  }
  t.equal((await ask(SLICES, { method: 'POST', body: own })).status, 201)
  await ask(SERVICES, { method: 'POST', body: service })
  await ask(SERVICES, {
    method: 'POST',
    body: { ...service, metadata: { name: 'db2' }, spec: { ...service.spec, selector: { a: 'b' } } },
  })
  await eventually(async () => (await ask(SLICES)).body.items.length === 2, 'the slice of the other service')
  await ask(`${SERVICES}/db`, { method: 'DELETE' })
  await ask(`${SERVICES}/db2`, { method: 'DELETE' })
  await eventually(async () => (await ask(SLICES)).body.items.length === 1, 'only that one is left')
  t.match((await ask(`${SLICES}/own`)).body, { ports: [{ port: 5432, protocol: 'TCP', name: '' }] })
  const wrong = { ...own, metadata: { name: 'wrong' }, endpoints: [{ addresses: ['nonsense'] }] }
  const answer = await ask(SLICES, { method: 'POST', body: wrong })
  t.equal(answer.status, 422)
  t.match(answer.body.message, /endpoints\[0\]\.addresses\[0\]: Invalid value/)
})

t.test('what a quota forbade is made once the quota is gone', async t => {
  const { ask } = await temporaryMaster(t)
  const place = '/api/v1/namespaces/tight'
  await ask('/api/v1/namespaces', { method: 'POST', body: { metadata: { name: 'tight' } } })
  const hard = { 'count/endpointslices.discovery.k8s.io': '0', 'count/endpoints': '0' }
  await ask(`${place}/resourcequotas`, {
    method: 'POST',
    body: { metadata: { name: 'none' }, spec: { hard } },
  })
  const service = { metadata: { name: 'web' }, spec: { selector: { app: 'web' }, ports: [{ port: 80 }] } }
  await ask(`${place}/services`, { method: 'POST', body: service })
  const slices = '/apis/discovery.k8s.io/v1/namespaces/tight/endpointslices'
  // The refusal has been heard when the next service, which the same loop looks at later, is in a namespace without a quota.
  await ask('/api/v1/namespaces/default/services', { method: 'POST', body: service })
  await eventually(async () => (await ask(SLICES)).body.items.length > 0, 'the other service has one')
  t.same((await ask(slices)).body.items, [])
  await ask(`${place}/resourcequotas/none`, { method: 'DELETE' })
  await eventually(async () => (await ask(slices)).body.items.length === 1, 'the slice')
  await eventually(async () => (await ask(`${place}/endpoints/web`)).status === 200, 'the endpoints')

  await ask(`${place}/endpoints/web`, { method: 'DELETE' })
  await eventually(
    async () => (await ask(`${place}/endpoints/web`)).status === 200,
    'endpoints that somebody removed are back',
  )
})
