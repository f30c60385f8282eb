/** What a real kubelet asks of the API, in the shapes in which it asks. */
import t from 'tap'
import { eventually, node, pod, temporaryMaster } from './temporary-master.ts'
import { openWatch } from './watching.ts'

const NODES = '/api/v1/nodes'
const PODS = '/api/v1/namespaces/default/pods'
const LEASES = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'
const STRATEGIC = { 'content-type': 'application/strategic-merge-patch+json' }
/** What lists of reflectors begin with. */
const FIRST = 'limit=500&resourceVersion=0'
const selector = (field: string, value: string) => `fieldSelector=${encodeURIComponent(`${field}=${value}`)}`

t.test('a kubelet', async t => {
  const { ask, port } = await temporaryMaster(t)
  const as =
    (name: string) =>
    (place: string, method = 'GET', body?: unknown, headers: Record<string, string> = {}) =>
      ask(place, {
        token: `node|${name}|c1`,
        method,
        headers: { accept: 'application/json', 'user-agent': 'kubelet/v1.36.0', ...headers },
        ...(body === undefined ? {} : { body }),
      })
  const own = as('n1')
  const token = 'node|n1|c1'
  const post = (place: string, body: object) => ask(place, { method: 'POST', body })
  for (const [kind, name] of [
    ['configmaps', 'settings'],
    ['secrets', 'access'],
    ['secrets', 'foreign'],
  ] as const)
    await post(`/api/v1/namespaces/default/${kind}`, { metadata: { name } })

  t.test('registers its node, or finds it, and says how it is', async t => {
    const { metadata } = node('n1')
    const wish = { kind: 'Node', apiVersion: 'v1', metadata, spec: {}, status: { capacity: { cpu: '4' } } }
    t.equal((await own(NODES, 'POST', wish)).status, 201)
    t.match((await own(NODES, 'POST', wish)).body, { code: 409, reason: 'AlreadyExists' })
    const present = (await own(`${NODES}/n1?resourceVersion=0`)).body
    t.equal(present.metadata.name, 'n1')
    const time = '2030-01-01T00:00:00Z'
    const condition = (type: string, status: string) => ({
      ...{ type, status, reason: 'KubeletSays', message: 'so' },
      ...{ lastHeartbeatTime: time, lastTransitionTime: time },
    })
    const types = ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready']
    const status = {
      '$setElementOrder/conditions': types.map(type => ({ type })),
      '$setElementOrder/addresses': [{ type: 'InternalIP' }, { type: 'Hostname' }],
      addresses: [
        { address: '192.0.2.11', type: 'InternalIP' },
        { address: 'n1', type: 'Hostname' },
      ],
      allocatable: { cpu: '4', memory: '8Gi', pods: '110' },
      conditions: types.map(type => condition(type, type === 'Ready' ? 'True' : 'False')),
      daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
      nodeInfo: { kubeletVersion: 'v1.36.0', containerRuntimeVersion: 'docker://20.10.24' },
      images: [{ names: ['drover/busybox:1'], sizeBytes: 2_000_000 }],
    }
    const patched = await own(`${NODES}/n1/status`, 'PATCH', { status }, STRATEGIC)
    t.equal(patched.status, 200, patched.text.slice(0, 300))
    const heartbeat = {
      status: {
        '$setElementOrder/conditions': types.map(type => ({ type })),
        conditions: [{ type: 'Ready', lastHeartbeatTime: '2030-01-01T00:05:00Z' }],
      },
    }
    const { body } = await own(`${NODES}/n1/status`, 'PATCH', heartbeat, STRATEGIC)
    t.strictSame(
      body.status.conditions.map(({ type }: { type: string }) => type),
      types,
    )
    t.equal(body.status.conditions[3].lastHeartbeatTime, '2030-01-01T00:05:00Z')
    t.equal(body.status.conditions[3].reason, 'KubeletSays')
    t.equal(body.status.addresses.length, 2)
    t.match((await ask(`${NODES}?fieldSelector=metadata.name%3Dn1`)).body.items, [
      { status: { images: [{}] } },
    ])
  })

  t.test('follows its node, its pods, services, and what is there for all', async t => {
    await post(PODS, pod('mine', { nodeName: 'n1' }))
    await post(PODS, pod('other', { nodeName: 'n2' }))
    const { body } = await own(`/api/v1/pods?${selector('spec.nodeName', 'n1')}&${FIRST}`)
    t.strictSame(
      body.items.map(({ metadata }: { metadata: { name: string } }) => metadata.name),
      ['mine'],
    )
    for (const place of [
      `${NODES}?${selector('metadata.name', 'n1')}&${FIRST}`,
      `/api/v1/services?${FIRST}`,
      `/apis/storage.k8s.io/v1/csidrivers?${FIRST}`,
      `/apis/node.k8s.io/v1/runtimeclasses?${FIRST}`,
    ]) {
      const list = await own(place)
      t.equal(list.status, 200, place)
      const since = `allowWatchBookmarks=true&resourceVersion=${list.body.metadata.resourceVersion}`
      const [collection = '', query = ''] = place.split('?')
      const followed = query.startsWith('field') ? `${collection}?${query.split('&')[0]}&` : `${collection}?`
      const watch = await openWatch(port, `${followed}${since}&timeoutSeconds=300&watch=true`, { token })
      t.equal(watch.response.statusCode, 200, place)
      watch.close()
    }
  })

  t.test('holds a lease', async t => {
    const spec = (renewTime: string) => ({ holderIdentity: 'n1', leaseDurationSeconds: 40, renewTime })
    t.equal((await own(`${LEASES}/n1`)).status, 404)
    const { uid } = (await own(`${NODES}/n1`)).body.metadata
    const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: 'n1', uid }]
    const made = await own(LEASES, 'POST', {
      metadata: { name: 'n1', namespace: 'kube-node-lease', ownerReferences },
      spec: spec('2030-01-01T00:00:00.000000Z'),
    })
    t.equal(made.status, 201, made.text)
    const renewed = { ...made.body, spec: spec('2030-01-01T00:00:10.123456Z') }
    const answer = await own(`${LEASES}/n1`, 'PUT', renewed)
    t.equal(answer.body.spec.renewTime, '2030-01-01T00:00:10.123456Z')
    t.match((await own(`${LEASES}/n1`, 'PUT', renewed)).body, { code: 409, reason: 'Conflict' })
  })

  t.test('reads what its pods refer to, one object at a time', async t => {
    const volumes = [
      { name: 'c', configMap: { name: 'settings' } },
      { name: 's', secret: { secretName: 'access' } },
    ]
    await post(PODS, pod('reader', { nodeName: 'n1', volumes }))
    for (const [kind, name] of [
      ['configmaps', 'settings'],
      ['secrets', 'access'],
    ] as const) {
      const place = `/api/v1/namespaces/default/${kind}?${selector('metadata.name', name)}`
      const { status, body } = await own(`${place}&${FIRST}`)
      t.equal(status, 200)
      const version = body.metadata.resourceVersion
      const follow = `allowWatchBookmarks=true&resourceVersion=${version}&watch=true`
      const watch = await openWatch(port, `${place}&${follow}`, { token })
      await ask(`/api/v1/namespaces/default/${kind}/${name}`, {
        method: 'PATCH',
        body: { metadata: { labels: { changed: 'yes' } } },
        headers: { 'content-type': 'application/merge-patch+json' },
      })
      t.match(await watch.next(), { type: 'MODIFIED', object: { metadata: { name } } })
      watch.close()
    }
    t.equal((await own('/api/v1/namespaces/default/secrets/foreign')).status, 403)
  })

  t.test('asks for tokens of the accounts of its pods', async t => {
    const { metadata } = (await own(`${PODS}/mine`)).body
    const request = (boundObjectRef: object) => ({
      kind: 'TokenRequest',
      apiVersion: 'authentication.k8s.io/v1',
      metadata: {},
      spec: { audiences: null, expirationSeconds: 3607, boundObjectRef },
    })
    const place = '/api/v1/namespaces/default/serviceaccounts/default/token'
    const bound = { kind: 'Pod', apiVersion: 'v1', name: 'mine', uid: metadata.uid }
    t.match((await own(place, 'POST', request(bound))).body.status, {
      token: String,
      expirationTimestamp: String,
    })
    const { uid } = (await ask(`${PODS}/other`)).body.metadata
    t.equal((await own(place, 'POST', request({ ...bound, name: 'other', uid }))).status, 403)
  })

  t.test('says what becomes of pods, and lets them go', async t => {
    const { uid } = (await own(`${PODS}/mine`)).body.metadata
    const status = {
      '$setElementOrder/conditions': [{ type: 'Ready' }, { type: 'ContainersReady' }],
      conditions: [
        { type: 'Ready', status: 'True', lastProbeTime: null, lastTransitionTime: '2030-01-01T00:00:00Z' },
      ],
      containerStatuses: [
        {
          ...{
            name: 'main',
            ready: true,
            restartCount: 0,
            started: true,
            image: 'web:1',
            imageID: 'docker://x',
          },
          state: { running: { startedAt: '2030-01-01T00:00:00Z' } },
        },
      ],
      hostIP: '192.0.2.11',
      phase: 'Running',
      podIP: '10.42.0.9',
      podIPs: [{ ip: '10.42.0.9' }],
    }
    const patch = (id: string) =>
      own(`${PODS}/mine/status`, 'PATCH', { metadata: { uid: id }, status }, STRATEGIC)
    t.equal((await patch(uid)).body.status.phase, 'Running')
    t.equal((await patch('another-pod-of-this-name')).status, 409)
    const event = {
      ...{ kind: 'Event', apiVersion: 'v1', metadata: { name: 'mine.17f', namespace: 'default' } },
      involvedObject: { kind: 'Pod', namespace: 'default', name: 'mine', uid, apiVersion: 'v1' },
      ...{
        reason: 'Started',
        message: 'Started container main',
        source: { component: 'kubelet', host: 'n1' },
      },
      ...{
        firstTimestamp: '2030-01-01T00:00:00Z',
        lastTimestamp: '2030-01-01T00:00:00Z',
        count: 1,
        type: 'Normal',
      },
      ...{ eventTime: null, reportingComponent: 'kubelet', reportingInstance: 'n1' },
    }
    t.equal((await own('/api/v1/namespaces/default/events', 'POST', event)).status, 201)
    const again = { count: 2, lastTimestamp: '2030-01-01T00:01:00Z' }
    const repeated = await own('/api/v1/namespaces/default/events/mine.17f', 'PATCH', again, STRATEGIC)
    t.equal(repeated.body.count, 2)
    const options = (id: string) => ({
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      gracePeriodSeconds: 0,
      preconditions: { uid: id },
    })
    t.equal((await own(`${PODS}/mine`, 'DELETE', options('another'))).status, 409)
    t.equal((await own(`${PODS}/mine`, 'DELETE', options(uid))).status, 200)
    t.equal((await own(`${PODS}/mine`)).status, 404)
  })

  t.test('shows pods that it has from files', async t => {
    const { uid } = (await own(`${NODES}/n1`)).body.metadata
    const owner = { apiVersion: 'v1', kind: 'Node', name: 'n1', uid, controller: true }
    const mirror = (name: string, spec: object = {}, metadata: object = {}) => {
      const made = pod(name, { nodeName: 'n1', ...spec })
      const annotations = { 'kubernetes.io/config.mirror': 'abc', 'kubernetes.io/config.source': 'file' }
      return { ...made, metadata: { ...made.metadata, annotations, ownerReferences: [owner], ...metadata } }
    }
    const shown = await own(PODS, 'POST', mirror('static-n1'))
    t.equal(shown.status, 201, shown.text)
    for (const [why, wish] of [
      ['of another node', mirror('a', { nodeName: 'n2' })],
      ['no mirror', mirror('b', {}, { annotations: {} })],
      ['nobody owns it', mirror('c', {}, { ownerReferences: [] })],
      ['with a secret', mirror('d', { volumes: [{ name: 's', secret: { secretName: 'foreign' } }] })],
      ['with an account', mirror('e', { serviceAccountName: 'default' })],
    ] as const)
      t.equal((await own(PODS, 'POST', wish)).status, 403, why)
  })

  t.test('has its drivers, asks who its clients are, and knows whom to believe', async t => {
    const drivers = '/apis/storage.k8s.io/v1/csinodes'
    t.equal((await own(`${drivers}/n1`)).status, 404)
    t.equal((await own(drivers, 'POST', { metadata: { name: 'n1' }, spec: { drivers: [] } })).status, 201)
    t.equal((await own(drivers, 'POST', { metadata: { name: 'n2' }, spec: { drivers: [] } })).status, 403)
    t.equal((await as('n2')(`${drivers}/n1`)).status, 403)
    const review = {
      spec: { user: 'ann', resourceAttributes: { verb: 'get', resource: 'nodes', subresource: 'proxy' } },
    }
    const reviewed = await own('/apis/authorization.k8s.io/v1/subjectaccessreviews', 'POST', review)
    t.equal(reviewed.body.status.allowed, false)
    const stranger = { spec: { token: 'nonsense' } }
    const known = await own('/apis/authentication.k8s.io/v1/tokenreviews', 'POST', stranger)
    t.notOk(known.body.status.authenticated)
    const authority = await own(
      '/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication',
    )
    t.match(authority.body.data['client-ca-file'], /^-----BEGIN CERTIFICATE-----/)
  })

  t.test('may not give itself what administrators give', async t => {
    const merge = { 'content-type': 'application/merge-patch+json' }
    const label = (name: string) =>
      own(`${NODES}/n1`, 'PATCH', { metadata: { labels: { [name]: 'x' } } }, merge)
    t.equal((await label('topology.kubernetes.io/zone')).status, 200)
    t.equal((await label('example.com/rack')).status, 200)
    t.match((await label('node-restriction.kubernetes.io/trusted')).body, { code: 403, message: /labels/ })
    t.equal((await label('node-role.kubernetes.io/control-plane')).status, 403)
    const taints = [{ key: 'dedicated', value: 'x', effect: 'NoSchedule' }]
    await ask(`${NODES}/n1`, { method: 'PATCH', body: { spec: { taints } }, headers: merge })
    t.match((await own(`${NODES}/n1`, 'PATCH', { spec: { taints: null } }, merge)).body, {
      code: 403,
      message: /not allowed to modify taints/,
    })
    t.equal((await own(`${NODES}/n1/status`, 'PATCH', { status: { phase: 'x' } }, merge)).status, 200)
    await eventually(async () => (await own(`${NODES}/n1`)).body.spec.taints.length > 0, 'the taint stays')
  })
})
