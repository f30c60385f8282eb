/** Who may do what, and what strangers can find out. */
import t from 'tap'
import { node, pod, temporaryMaster } from './temporary-master.ts'

const MERGE = { 'content-type': 'application/merge-patch+json' }
const PODS = '/api/v1/namespaces/default/pods'

t.test('strangers', async t => {
  const { ask, master } = await temporaryMaster(t)
  await master.createCluster('c2')

  t.test('without credentials there is health and version, for any name', async t => {
    for (const cluster of ['c1', 'nowhere', 'system', '%2e%2e']) {
      t.equal((await ask('/livez', { token: '', cluster })).status, 200)
      t.equal((await ask('/version', { token: '', cluster })).status, 200)
      for (const path of ['/api', '/apis', '/api/v1/pods', '/openapi/v2', '/nothing']) {
        t.match(
          await ask(path, { token: '', cluster }),
          { status: 401, body: { reason: 'Unauthorized' } },
          `${cluster} ${path}`,
        )
      }
    }
  })

  t.test('the credentials of one cluster are nothing in another, there or not', async t => {
    const answers = await Promise.all(
      ['c2', 'nowhere'].flatMap(cluster =>
        ['GET', 'POST', 'DELETE'].map(method =>
          ask('/api/v1/namespaces', { token: 'admin|c1', cluster, method }),
        ),
      ),
    )
    t.same(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size, 1)
    t.equal(answers[0]?.status, 401)
  })

  t.test('somebody who is known everywhere is told what is not there', async t => {
    t.match(await ask('/api', { token: 'admin|nowhere', cluster: 'nowhere' }), {
      status: 404,
      body: { reason: 'NotFound' },
    })
    t.match(
      await ask('/api', { token: 'admin|system', cluster: 'system' }),
      { status: 404 },
      'the system space is no cluster',
    )
    t.match(await ask('/api', { token: 'admin|a_b', cluster: 'a_b' }), { status: 404 })
  })

  t.test('impersonation is never ignored', async t => {
    t.match(await ask('/api/v1/pods', { headers: { 'Impersonate-User': 'root' } }), { status: 403 })
    for (const name of ['Impersonate-Group', 'Impersonate-Extra-x', 'Impersonate-Uid', 'Impersonate-Other']) {
      t.match(await ask('/api/v1/pods', { headers: { [name]: 'root' } }), { status: 400 }, name)
    }
  })

  t.test('groups without rights may look at discovery and nothing else', async t => {
    const token = 'group|somebody|c1'
    t.equal((await ask('/api/v1', { token })).status, 200)
    t.match(await ask(PODS, { token }), {
      status: 403,
      body: {
        reason: 'Forbidden',
        message:
          'pods is forbidden: User "component" cannot list resource "pods" in API group "" in the namespace "default"',
      },
    })
    t.match(await ask('/api/v1/nodes/x', { token, method: 'DELETE' }), {
      status: 403,
      body: {
        message:
          /nodes "x" is forbidden: User "component" cannot delete resource "nodes" .* at the cluster scope/,
      },
    })
  })
})

const POLICIES = '/apis/networking.k8s.io/v1/networkpolicies'
const POLICIES_OF_DEFAULT = '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies'
const policy = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'closed' },
  spec: { podSelector: {} },
}

t.test('agents of hosts', async t => {
  const { ask } = await temporaryMaster(t)
  const own = 'node|n1|c1'
  const as = (path: string, method = 'GET', body?: unknown, headers?: Record<string, string>) =>
    ask(path, {
      token: own,
      method,
      ...(body === undefined ? {} : { body }),
      ...(headers === undefined ? {} : { headers }),
    })
  for (const [name, target] of [
    ['mine', 'n1'],
    ['other', 'n2'],
  ]) {
    const volumes = [
      { name: 's', secret: { secretName: `of-${name}` } },
      { name: 'c', persistentVolumeClaim: { claimName: `claim-${name}` } },
    ]
    const spec = { schedulerName: 'nobody', nodeName: target, volumes, automountServiceAccountToken: false }
    await ask(PODS, { method: 'POST', body: pod(name ?? '', spec) })
    await ask('/api/v1/namespaces/default/secrets', {
      method: 'POST',
      body: { apiVersion: 'v1', kind: 'Secret', metadata: { name: `of-${name}` } },
    })
    await ask('/api/v1/namespaces/default/persistentvolumeclaims', {
      method: 'POST',
      body: {
        ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: `claim-${name}` } },
        spec: {
          accessModes: ['ReadWriteOnce'],
          volumeName: `volume-${name}`,
          resources: { requests: { storage: '1Gi' } },
        },
      },
    })
  }
  await ask('/api/v1/nodes', { method: 'POST', body: node('n2') })
  const lease = (name: string) => ({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name },
    spec: { holderIdentity: name, leaseDurationSeconds: 40 },
  })
  const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'
  const event = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { generateName: 'e' },
    involvedObject: { kind: 'Pod', namespace: 'default', name: 'mine' },
  }
  const phase = { status: { phase: 'Running' } }

  const made = await as('/api/v1/nodes', 'POST', node('n1'))
  t.equal(made.status, 201)
  const itself = { apiVersion: 'v1', kind: 'Node', name: 'n1', uid: made.body.metadata.uid, controller: true }
  const mirror = (spec: object = {}, ownerReferences: object[] = [itself]) => {
    const annotations = { 'kubernetes.io/config.mirror': 'hash' }
    const { metadata, ...rest } = pod('mirror', { nodeName: 'n1', ...spec })
    return { ...rest, metadata: { ...metadata, annotations, ownerReferences } }
  }

  const cases: [string, string, number, unknown?][] = [
    ['GET', '/api/v1/pods?fieldSelector=spec.nodeName%3Dn1', 200],
    ['GET', '/api/v1/pods', 403],
    ['GET', '/api/v1/pods?fieldSelector=spec.nodeName%3Dn2', 403],
    ['GET', '/api/v1/pods?fieldSelector=spec.nodeName!%3Dn2', 403],
    ['GET', `${PODS}/mine`, 200],
    ['GET', `${PODS}/other`, 403],
    ['GET', `${PODS}/absent`, 404],
    ['POST', PODS, 403, pod('new', { nodeName: 'n1' })],
    ['POST', PODS, 201, mirror()],
    ['POST', PODS, 403, mirror({ nodeName: 'n2' })],
    ['POST', PODS, 403, mirror({ serviceAccountName: 'default' })],
    ['POST', PODS, 403, mirror({ volumes: [{ name: 'v', secret: { secretName: 'of-mine' } }] })],
    ['POST', PODS, 403, mirror({}, [])],
    ['POST', PODS, 403, mirror({}, [{ ...itself, uid: 'another' }])],
    ['POST', PODS, 403, mirror({}, [{ ...itself, controller: false }])],
    ['POST', PODS, 403, mirror({}, [{ ...itself, name: 'n2' }])],
    ['POST', PODS, 403, mirror({}, [itself, { ...itself, name: 'n2', controller: false }])],
    ['POST', '/api/v1/namespaces/default/pods/mine/eviction', 403, {}],
    ['PATCH', `${PODS}/mine/status`, 200, phase],
    ['PATCH', `${PODS}/other/status`, 403, phase],
    ['PATCH', `${PODS}/mine/status`, 403, { ...phase, metadata: { labels: { app: 'of-somebody' } } }],
    ['PATCH', `${PODS}/mine/status`, 200, { ...phase, metadata: { labels: {} } }],
    ['PATCH', `${PODS}/mine`, 403, { metadata: { labels: { a: 'b' } } }],
    ['POST', `${PODS}/mine/binding`, 403, { target: { name: 'n1' } }],
    ['GET', `${PODS}/mine/log`, 403],
    ['DELETE', `${PODS}/other?gracePeriodSeconds=0`, 403],
    ['DELETE', PODS, 403],
    ['POST', '/api/v1/nodes', 403, node('n3')],
    ['GET', '/api/v1/nodes/n1', 200],
    ['GET', '/api/v1/nodes/n2', 403],
    ['GET', '/api/v1/nodes', 403],
    ['GET', '/api/v1/nodes?fieldSelector=metadata.name%3Dn1', 200],
    ['PATCH', '/api/v1/nodes/n1', 200, { metadata: { labels: { a: 'b' } } }],
    ['PATCH', '/api/v1/nodes/n1/status', 200, { status: { phase: 'x' } }],
    ['PATCH', '/api/v1/nodes/n2/status', 403, { status: { phase: 'x' } }],
    ['DELETE', '/api/v1/nodes/n1', 403],
    ['POST', leases, 201, lease('n1')],
    ['POST', leases, 403, lease('n2')],
    ['GET', `${leases}/n1`, 200],
    ['GET', `${leases}/n2`, 403],
    ['GET', leases, 403],
    ['PATCH', `${leases}/n1`, 200, { spec: { leaseDurationSeconds: 41 } }],
    ['POST', '/apis/coordination.k8s.io/v1/namespaces/default/leases', 403, lease('n1')],
    ['POST', '/api/v1/namespaces/default/events', 201, event],
    ['GET', '/api/v1/namespaces/default/events', 403],
    ['GET', '/api/v1/namespaces/default/secrets/of-mine', 200],
    ['GET', '/api/v1/namespaces/default/secrets/of-other', 403],
    ['GET', '/api/v1/namespaces/default/secrets?fieldSelector=metadata.name%3Dof-mine', 200],
    ['GET', '/api/v1/namespaces/default/secrets?fieldSelector=metadata.name%3Dof-other', 403],
    ['GET', '/api/v1/namespaces/default/secrets?watch=1&fieldSelector=metadata.name%3Dof-other', 403],
    ['GET', '/api/v1/namespaces/default/secrets?watch=1&fieldSelector=metadata.namespace%3Ddefault', 403],
    ['GET', '/api/v1/namespaces/default/configmaps?fieldSelector=metadata.name%3Dof-mine', 403],
    ['GET', '/api/v1/namespaces/default/persistentvolumeclaims/claim-mine', 200],
    [
      'GET',
      '/api/v1/namespaces/default/persistentvolumeclaims?fieldSelector=metadata.name%3Dclaim-mine',
      403,
    ],
    ['GET', '/api/v1/namespaces/default/persistentvolumeclaims/claim-other', 403],
    ['GET', '/api/v1/persistentvolumes/volume-mine', 404],
    ['GET', '/api/v1/persistentvolumes/volume-other', 403],
    ['GET', '/api/v1/namespaces/default/secrets', 403],
    ['GET', '/api/v1/secrets?watch=true', 403],
    ['GET', '/api/v1/namespaces/default/serviceaccounts/default', 200],
    ['GET', '/api/v1/services', 200],
    ['GET', '/apis/discovery.k8s.io/v1/endpointslices', 200],
    ['POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', 403, {}],
    ['GET', '/api/v1/configmaps', 403],
    ['POST', '/api/v1/namespaces/default/configmaps', 403, {}],
    ['GET', '/api/v1/namespaces', 200],
    ['POST', '/api/v1/namespaces', 403, {}],
    ['GET', POLICIES, 200],
    ['POST', POLICIES_OF_DEFAULT, 403, policy],
    ['GET', '/api/v1/pods', 403],
    ['DELETE', `${PODS}/mine?gracePeriodSeconds=0`, 200],
  ]
  for (const [method, path, status, body] of cases) {
    const answer = await as(path, method, body, method === 'PATCH' ? MERGE : undefined)
    t.equal(
      answer.status,
      status,
      `${method} ${path}: ${answer.status === status ? '' : answer.text.slice(0, 200)}`,
    )
  }
  t.equal((await ask(POLICIES_OF_DEFAULT, { method: 'POST', body: policy })).status, 201)
  t.equal((await as('/api/v1/pods', 'GET')).status, 200, 'policies are about pods of other nodes')
  t.equal((await as(`${PODS}/other`, 'GET')).status, 403)
})

t.test('components', async t => {
  const { ask } = await temporaryMaster(t)
  await ask('/api/v1/nodes', { method: 'POST', body: node('n1') })
  const cases: [string, string, string, number, unknown?][] = [
    ['drover:netes', 'POST', PODS, 201, pod('a')],
    ['drover:controller:endpointslice', 'GET', PODS, 200],
    ['drover:controller:endpointslice', 'POST', PODS, 403, pod('b')],
    ['drover:controller:endpointslice', 'POST', '/api/v1/namespaces/default/services', 403, {}],
    [
      'drover:netes',
      'POST',
      '/api/v1/namespaces',
      201,
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'x' } },
    ],
    ['drover:netes', 'DELETE', `${PODS}/a`, 200],
    ['drover:netes', 'GET', '/api/v1/secrets', 403],
    ['drover:netes', 'PUT', '/api/v1/nodes/n1', 403, node('n1')],
    ['drover:scheduler', 'GET', '/api/v1/nodes', 200],
    ['drover:scheduler', 'GET', '/api/v1/secrets', 403],
    ['drover:scheduler', 'DELETE', '/api/v1/nodes/n1', 403],
    ['drover:scheduler', 'PUT', '/api/v1/nodes/n1', 403, node('n1')],
    ['drover:controller:events', 'GET', '/api/v1/events', 200],
    ['drover:controller:events', 'GET', '/api/v1/pods', 403],
    [
      'drover:controller:nodelifecycle',
      'GET',
      '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases',
      200,
    ],
    ['drover:controller:nodelifecycle', 'GET', '/apis/coordination.k8s.io/v1/leases', 403],
    ['drover:netes', 'DELETE', '/api/v1/nodes/n1', 200],
    ['drover:unknown', 'GET', PODS, 403],
  ]
  for (const [group, method, path, status, body] of cases) {
    const answer = await ask(path, {
      method,
      token: `group|${group}|c1`,
      ...(body === undefined ? {} : { body }),
    })
    t.equal(answer.status, status, `${group} ${method} ${path}`)
  }
})
