/** Admission webhooks: who is asked what, when, and what becomes of the answers. */
import t from 'tap'
import { eventually, node, pod } from './temporary-master.ts'
import { bench, CONFIGURATIONS, MAPS, map } from './webhook-bench.ts'
import { allow, deny } from './webhook-server.ts'

t.test('who is asked what', async t => {
  const { hooks, post, configure, webhook, master } = await bench(t)
  hooks.answer = review => allow(review)
  await configure('Validating', 'all', webhook('all.hooks.test', '/all'))
  hooks.take()
  t.equal((await post(`${MAPS}?fieldManager=me`, map('a', { key: 'value' }))).status, 201)
  const [create] = hooks.take('/all')
  t.match(create, {
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: {
      uid: /./,
      kind: { group: '', version: 'v1', kind: 'ConfigMap' },
      resource: { group: '', version: 'v1', resource: 'configmaps' },
      requestKind: { group: '', version: 'v1', kind: 'ConfigMap' },
      requestResource: { group: '', version: 'v1', resource: 'configmaps' },
      name: 'a',
      namespace: 'default',
      operation: 'CREATE',
      userInfo: { username: 'admin', groups: ['system:masters', 'system:authenticated'] },
      object: {
        kind: 'ConfigMap',
        apiVersion: 'v1',
        metadata: { name: 'a', namespace: 'default', uid: /./ },
        data: { key: 'value' },
      },
      oldObject: null,
      dryRun: false,
      options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1', fieldManager: 'me' },
    },
  })
  const merge = { 'content-type': 'application/merge-patch+json' }
  await master.ask(`${MAPS}/a`, { method: 'PATCH', body: { data: { key: 'next' } }, headers: merge })
  t.match(hooks.take('/all'), [
    {
      request: {
        operation: 'UPDATE',
        object: { data: { key: 'next' } },
        oldObject: { data: { key: 'value' } },
        options: { kind: 'PatchOptions' },
      },
    },
  ])
  await master.ask(`${MAPS}/a`, { method: 'DELETE', body: { propagationPolicy: 'Background' } })
  t.match(hooks.take('/all'), [
    {
      request: {
        operation: 'DELETE',
        object: null,
        oldObject: { data: { key: 'next' } },
        options: { kind: 'DeleteOptions', propagationPolicy: 'Background' },
      },
    },
  ])
  await post(MAPS, { metadata: { generateName: 'made-' } })
  t.match(hooks.take('/all'), [{ request: { name: undefined, object: { metadata: { name: /^made-/ } } } }])
  await post('/api/v1/namespaces/default/secrets', { metadata: { name: 's' } })
  await master.ask(`${MAPS}/a`)
  t.same(hooks.take(), [], 'nothing else is their business')
})

t.test('what changes objects', async t => {
  const { hooks, post, configure, webhook, master } = await bench(t)
  const add = (path: string, value: string) => [{ op: 'add', path: `/data/${path}`, value }]
  hooks.answer = (review, path) =>
    allow(
      review,
      path === '/never'
        ? undefined
        : add(path.slice(1), String(Object.keys(review.request.object.data).length)),
    )
  // In the order of names, not of their making.
  await configure('Mutating', 'two', webhook('two.hooks.test', '/two'))
  await configure(
    'Mutating',
    'one',
    webhook('one.hooks.test', '/one', { reinvocationPolicy: 'IfNeeded' }),
    webhook('never.hooks.test', '/never'),
  )
  await configure('Validating', 'last', webhook('last.hooks.test', '/last'))
  hooks.answer = (review, path) =>
    allow(
      review,
      path === '/never' || path === '/last'
        ? undefined
        : add(path.slice(1), String(Object.keys(review.request.object.data).length)),
    )
  const made = await post(MAPS, map('a', { own: '' }))
  t.same(made.body.data, { own: '', one: '3', two: '2' }, 'the first is asked again after the last')
  t.same(
    hooks.asked.map(({ path }) => path),
    ['/one', '/never', '/two', '/one', '/last'],
  )
  t.match(hooks.take('/last'), [{ request: { object: { data: { one: '3', two: '2' } } } }])
  const apply = { 'content-type': 'application/apply-patch+yaml' }
  const applied = await master.ask(`${MAPS}/b?fieldManager=me`, {
    method: 'PATCH',
    headers: apply,
    body: { apiVersion: 'v1', kind: 'ConfigMap', ...map('b', { own: '' }) },
  })
  t.match(applied, { status: 201, body: { data: { own: '', one: '3' } } })
  const again = await master.ask(`${MAPS}/b?fieldManager=me`, {
    method: 'PATCH',
    headers: apply,
    body: { apiVersion: 'v1', kind: 'ConfigMap', ...map('b', { own: 'new' }) },
  })
  t.match(again, { status: 200, body: { data: { own: 'new', one: '3', two: '3' } } })
  hooks.answer = review => allow(review, [{ op: 'add', path: '/data/a/b/c', value: 1 }])
  t.match(await post(MAPS, map('c', {})), {
    status: 500,
    body: {
      reason: 'InternalError',
      message: /Internal error occurred: the patch of admission webhook "one/,
    },
  })
  hooks.answer = review => allow(review, [{ op: 'add', path: '/data', value: { number: 1 } }])
  t.match(await post(MAPS, map('d', {})), { status: 500 })
  hooks.answer = review =>
    allow(review, [{ op: 'replace', path: '/metadata/namespace', value: 'kube-system' }])
  t.match(await post(MAPS, map('e', {})), { status: 400 })
})

t.test('objects are complete when webhooks see them', async t => {
  const { hooks, post, configure, webhook } = await bench(t)
  hooks.answer = review =>
    allow(review, [
      {
        op: 'add',
        path: review.request.kind.kind === 'Secret' ? '/data/more' : '/metadata/labels',
        value: review.request.kind.kind === 'Secret' ? 'bW9yZQ==' : { a: 'b' },
      },
    ])
  const rules = [
    {
      operations: ['CREATE'],
      apiGroups: ['', 'batch'],
      apiVersions: ['v1'],
      resources: ['secrets', 'services', 'jobs'],
    },
  ]
  await configure('Mutating', 'm', webhook('m.hooks.test', '/m', { rules }))
  const secret = { metadata: { name: 's' }, stringData: { text: 'text' } }
  t.match((await post('/api/v1/namespaces/default/secrets', secret)).body, {
    data: { text: 'dGV4dA==', more: 'bW9yZQ==' },
    stringData: undefined,
  })
  t.match(hooks.take('/m'), [{ request: { object: { data: { text: 'dGV4dA==' } } } }])
  await post('/api/v1/namespaces/default/services', {
    metadata: { name: 'web' },
    spec: { ports: [{ port: 80 }] },
  })
  t.match(hooks.take('/m'), [
    { request: { object: { spec: { ports: [{ targetPort: 80 }], internalTrafficPolicy: 'Cluster' } } } },
  ])
  const job = {
    metadata: { generateName: 'made-' },
    spec: { template: { spec: { restartPolicy: 'Never', ...pod('x').spec } } },
  }
  const { status, body } = await post('/apis/batch/v1/namespaces/default/jobs', job)
  t.equal(status, 201)
  t.match(body, {
    metadata: { labels: { a: 'b' } },
    spec: { template: { metadata: { labels: { 'batch.kubernetes.io/job-name': body.metadata.name } } } },
  })
})

t.test('what no webhook changes', async t => {
  const { hooks, post, configure, webhook, master } = await bench(t)
  await post(MAPS, map('old', { own: '' }))
  await configure('Mutating', 'm', webhook('m.hooks.test', '/m'))
  const change = (path: string, value: unknown) => {
    hooks.answer = review => allow(review, [{ op: 'add', path, value }])
  }
  change('/metadata/uid', 'mine')
  const made = await post(MAPS, map('a'))
  t.equal(made.status, 201)
  t.not(made.body.metadata.uid, 'mine')
  change('/metadata/deletionTimestamp', '2026-01-01T00:00:00Z')
  t.equal((await post(MAPS, map('b'))).body.metadata.deletionTimestamp, undefined)
  change('/metadata/name', 'another')
  const renamed = await master.ask(`${MAPS}/old`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/merge-patch+json' },
    body: { data: { own: 'new' } },
  })
  t.match(renamed, { status: 422, body: { message: /metadata.name: .*field is immutable/ } })
  hooks.answer = review => deny(review)
  await master.master.createCluster('c2')
  const strange = { cluster: 'c2', token: 'admin|c2' }
  const asked = hooks.asked.length
  const other = await post(
    `${CONFIGURATIONS}/mutatingwebhookconfigurations`,
    { metadata: { name: 'm' }, webhooks: [webhook('m.hooks.test', '/m')] },
    strange,
  )
  t.equal(other.status, 201)
  t.match(await post(MAPS, map('a'), strange), {
    status: 500,
    body: { message: /services "hook" not found/ },
  })
  t.equal(hooks.asked.length, asked, 'nobody of another cluster is reached')
})

t.test('selectors and conditions', async t => {
  const { hooks, post, configure, webhook, master } = await bench(t)
  await post('/api/v1/namespaces', { metadata: { name: 'chosen', labels: { choose: 'yes' } } })
  hooks.answer = review => allow(review)
  await configure(
    'Validating',
    'v',
    webhook('space.hooks.test', '/space', { namespaceSelector: { matchLabels: { choose: 'yes' } } }),
    webhook('named.hooks.test', '/named', {
      namespaceSelector: {
        matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['default'] }],
      },
    }),
    webhook('object.hooks.test', '/object', { objectSelector: { matchLabels: { app: 'web' } } }),
    webhook('conditions.hooks.test', '/conditions', {
      matchConditions: [
        { name: 'named', expression: "object != null && object.metadata.name.startsWith('c')" },
        { name: 'user', expression: "!(request.userInfo.username in ['system:nobody'])" },
        {
          name: 'right',
          expression: "authorizer.group('').resource('pods').namespace('default').check('get').allowed()",
        },
        {
          name: 'requested',
          expression:
            "authorizer.requestResource.check('delete').allowed() && !authorizer.serviceAccount('default', 'none').requestResource.check('delete').allowed()",
        },
        { name: 'path', expression: "authorizer.path('/healthz').check('get').allowed() || object.nothing" },
      ],
    }),
    webhook('unfit.hooks.test', '/unfit', {
      failurePolicy: 'Ignore',
      matchConditions: [{ name: 'missing', expression: 'object.nothing.there == 1' }],
    }),
  )
  hooks.take()
  const asked = async (space: string, body: object) => {
    const { status, text } = await post(`/api/v1/namespaces/${space}/configmaps`, body)
    t.equal(status, 201, text)
    const paths = hooks.asked.map(({ path }) => path)
    hooks.take()
    return paths.toSorted()
  }
  t.same(await asked('default', map('a')), [])
  t.same(await asked('chosen', map('a')), ['/named', '/space'])
  t.same(await asked('default', map('b', {}, { labels: { app: 'web' } })), ['/object'])
  t.same(await asked('default', map('c')), ['/conditions'])
  const json = { 'content-type': 'application/json-patch+json' }
  await master.ask(`${MAPS}/b`, {
    method: 'PATCH',
    headers: json,
    body: [{ op: 'remove', path: '/metadata/labels' }],
  })
  t.equal(hooks.take('/object').length, 1, 'also for what it was')
  await configure(
    'Validating',
    'w',
    webhook('broken.hooks.test', '/broken', {
      matchConditions: [{ name: 'missing', expression: 'object.nothing.there == 1' }],
    }),
  )
  t.match(await post(MAPS, map('d')), { status: 403, body: { message: /match condition "missing"/ } })
})

t.test('other forms of the same objects', async t => {
  const { hooks, post, configure, webhook } = await bench(t)
  hooks.answer = review => allow(review, [{ op: 'add', path: '/metadata/labels', value: { seen: 'yes' } }])
  const rules = [
    {
      operations: ['CREATE'],
      apiGroups: ['autoscaling'],
      apiVersions: ['v2'],
      resources: ['horizontalpodautoscalers'],
      scope: 'Namespaced',
    },
  ]
  await configure('Mutating', 'm', webhook('equivalent.hooks.test', '/equivalent', { rules }))
  await configure('Mutating', 'n', webhook('exact.hooks.test', '/exact', { rules, matchPolicy: 'Exact' }))
  const made = await post('/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers', {
    metadata: { name: 'a' },
    spec: {
      maxReplicas: 3,
      targetCPUUtilizationPercentage: 50,
      scaleTargetRef: { kind: 'Deployment', name: 'web', apiVersion: 'apps/v1' },
    },
  })
  t.match(made, {
    status: 201,
    body: {
      apiVersion: 'autoscaling/v1',
      metadata: { labels: { seen: 'yes' } },
      spec: { targetCPUUtilizationPercentage: 50 },
    },
  })
  t.match(hooks.asked, [
    {
      path: '/equivalent',
      review: {
        request: {
          kind: { group: 'autoscaling', version: 'v2' },
          resource: { version: 'v2' },
          requestKind: { version: 'v1' },
          requestResource: { version: 'v1' },
          object: { apiVersion: 'autoscaling/v2', spec: { metrics: [{ type: 'Resource' }] } },
        },
      },
    },
  ])
})

t.test('subresources and connections', async t => {
  const { hooks, post, configure, webhook, master } = await bench(t)
  const { ask } = master
  hooks.answer = review => allow(review)
  await post('/api/v1/nodes', node('n1'))
  await post('/api/v1/namespaces/default/pods', pod('p', { schedulerName: 'nobody' }))
  await post('/apis/apps/v1/namespaces/default/deployments', {
    metadata: { name: 'web' },
    spec: {
      replicas: 0,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' } }, spec: pod('x').spec },
    },
  })
  const everything = [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'] }]
  const only = (names: readonly string[]) => ({
    rules: everything,
    matchConditions: [{ name: 'mine', expression: `request.name in ${JSON.stringify(names)}` }],
  })
  await configure('Validating', 'v', webhook('v.hooks.test', '/v', only(['p', 'web', 'acc'])))
  hooks.take()
  const seen = () => {
    const reviews = hooks
      .take('/v')
      .map(({ request }) => [
        request.operation,
        request.resource.resource,
        request.subResource ?? '',
        request.object?.kind ?? '',
      ])
    return reviews
  }
  const merge = { 'content-type': 'application/merge-patch+json' }
  const scaled = await ask('/apis/apps/v1/namespaces/default/deployments/web/scale', {
    method: 'PATCH',
    headers: merge,
    body: { spec: { replicas: 1 } },
  })
  t.equal(scaled.status, 200, scaled.text)
  // Controllers write to it at the same time.
  t.match(
    seen().filter(([, , part]) => part === 'scale'),
    [['UPDATE', 'deployments', 'scale', 'Scale']],
  )
  await eventually(async () => {
    const { body } = await ask('/apis/apps/v1/namespaces/default/deployments/web')
    return body.status?.observedGeneration === body.metadata.generation
  }, 'the deployment was seen')
  hooks.take()
  const bound = await post('/api/v1/namespaces/default/pods/p/binding', {
    metadata: { name: 'p' },
    target: { kind: 'Node', name: 'n1' },
  })
  t.equal(bound.status, 201, bound.text)
  t.same(seen(), [['CREATE', 'pods', 'binding', 'Binding']])
  await ask('/api/v1/namespaces/default/pods/p/status', {
    method: 'PATCH',
    headers: merge,
    body: { status: { phase: 'Running' } },
  })
  t.same(seen(), [['UPDATE', 'pods', 'status', 'Pod']])
  await post('/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'acc' } })
  hooks.take()
  await post('/api/v1/namespaces/default/serviceaccounts/acc/token', { spec: {} })
  t.same(seen(), [['CREATE', 'serviceaccounts', 'token', 'TokenRequest']])
  hooks.answer = review => deny(review, { message: 'no connections' })
  const upgrade = {
    connection: 'upgrade',
    upgrade: 'SPDY/3.1',
    'x-stream-protocol-version': 'v4.channel.k8s.io',
  }
  const exec = await ask(
    '/api/v1/namespaces/default/pods/p/exec?command=ls&command=-l&stdout=true&container=main',
    {
      method: 'POST',
      headers: upgrade,
    },
  )
  t.match(exec, { status: 400, body: { message: /denied the request: no connections/ } })
  t.match(hooks.take('/v'), [
    {
      request: {
        operation: 'CONNECT',
        kind: { kind: 'PodExecOptions' },
        subResource: 'exec',
        object: { kind: 'PodExecOptions', command: ['ls', '-l'], stdout: true, container: 'main' },
        oldObject: null,
      },
    },
  ])
  t.equal((await ask('/api/v1/namespaces/default/pods/p/proxy/a')).status, 400)
  t.same(seen(), [['CONNECT', 'pods', 'proxy', 'PodProxyOptions']])
  const evicted = await post('/api/v1/namespaces/default/pods/p/eviction', { metadata: { name: 'p' } })
  t.match(evicted, { status: 400, body: { message: /no connections/ } })
  t.same(seen(), [['CREATE', 'pods', 'eviction', 'Eviction']])
  t.equal((await ask('/api/v1/namespaces/default/pods/p')).status, 200)
})

t.test('an object that changes while a webhook thinks is looked at again', async t => {
  const { hooks, post, configure, webhook, master } = await bench(t)
  await post(MAPS, map('a', { own: '' }))
  const merge = { 'content-type': 'application/merge-patch+json' }
  const change = (data: object) =>
    master.ask(`${MAPS}/a`, { method: 'PATCH', headers: merge, body: { data } })
  hooks.answer = review => allow(review)
  await configure('Validating', 'v', webhook('v.hooks.test', '/v'))
  const outcomes = await Promise.all(['one', 'two', 'three'].map(key => change({ [key]: key })))
  t.ok(outcomes.every(({ status }) => status === 200))
  const { body } = await master.ask(`${MAPS}/a`)
  t.same(body.data, { own: '', one: 'one', two: 'two', three: 'three' })
  const last = hooks.take('/v').at(-1)
  t.equal(Object.keys(last.request.object.data).length, 4, 'the one that was written last was seen as it was')
})
