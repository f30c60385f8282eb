/** Deleting: at once, gracefully, held by finalizers, with preconditions, whole collections, namespaces. */
import t from 'tap'
import { eventually, pod, temporaryMaster } from './temporary-master.ts'

const PODS = '/api/v1/namespaces/default/pods'
const MAPS = '/api/v1/namespaces/default/configmaps'
const MERGE = { 'content-type': 'application/merge-patch+json' }

function map(name: string, metadata: object = {}) {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata } }
}

t.test('objects', async t => {
  const { ask } = await temporaryMaster(t)
  const remove = (path: string, body?: object) =>
    ask(path, { method: 'DELETE', ...(body === undefined ? {} : { body }) })

  t.test('at once', async t => {
    const made = await ask(MAPS, { method: 'POST', body: map('a') })
    t.match(await remove(`${MAPS}/a`), {
      status: 200,
      body: {
        kind: 'Status',
        status: 'Success',
        details: { name: 'a', kind: 'configmaps', uid: made.body.metadata.uid },
      },
    })
    t.match(await remove(`${MAPS}/a`), { status: 404 })
  })

  t.test('preconditions and options', async t => {
    const made = await ask(MAPS, { method: 'POST', body: map('b') })
    const { uid, resourceVersion } = made.body.metadata
    t.match(await remove(`${MAPS}/b`, { preconditions: { uid: 'other' } }), {
      status: 409,
      body: { message: /UID in precondition: other/ },
    })
    t.match(await remove(`${MAPS}/b`, { preconditions: { resourceVersion: '1' } }), { status: 409 })
    t.match(await remove(`${MAPS}/b`, { propagationPolicy: 'Sideways' }), { status: 400 })
    t.match(await remove(`${MAPS}/b?gracePeriodSeconds=-1`), { status: 400 })
    t.match(await remove(`${MAPS}/b`, { gracePeriodSeconds: 'x' }), { status: 400 })
    t.match(await remove(`${MAPS}/b?dryRun=All`), { status: 200 })
    t.match(await remove(`${MAPS}/b`, { dryRun: ['All'] }), { status: 200 })
    t.match(await ask(`${MAPS}/b`), { status: 200 })
    t.match(
      await remove(`${MAPS}/b`, { preconditions: { uid, resourceVersion }, propagationPolicy: 'Foreground' }),
      { status: 200 },
    )
  })

  t.test('finalizers hold an object until they are gone', async t => {
    await ask(MAPS, { method: 'POST', body: map('held', { finalizers: ['example.com/hold'] }) })
    const marked = await remove(`${MAPS}/held`)
    t.match(marked.body, {
      kind: 'ConfigMap',
      metadata: { deletionTimestamp: /Z$/, deletionGracePeriodSeconds: 0 },
    })
    const again = await remove(`${MAPS}/held`)
    t.equal(
      again.body.metadata.resourceVersion,
      marked.body.metadata.resourceVersion,
      'a second delete changes nothing',
    )
    const more = { metadata: { finalizers: ['example.com/hold', 'example.com/more'] } }
    t.match(await ask(`${MAPS}/held`, { method: 'PATCH', body: more, headers: MERGE }), {
      status: 422,
      body: { message: /no new finalizers can be added if the object is being deleted/ },
    })
    const undelete = { metadata: { deletionTimestamp: null } }
    t.match(await ask(`${MAPS}/held`, { method: 'PATCH', body: undelete, headers: MERGE }), {
      body: { metadata: { deletionTimestamp: /Z$/ } },
    })
    t.match(
      await ask(`${MAPS}/held`, {
        method: 'PATCH',
        body: { metadata: { finalizers: null } },
        headers: MERGE,
      }),
      { status: 200 },
    )
    t.match(await ask(`${MAPS}/held`), { status: 404 })
  })

  t.test('pods end gracefully, and the node has the last word', async t => {
    await ask(PODS, { method: 'POST', body: pod('waiting', { schedulerName: 'nobody' }) })
    t.match(await remove(`${PODS}/waiting`), { status: 200, body: { kind: 'Pod' } })
    t.match(await ask(`${PODS}/waiting`), { status: 404 }, 'a pod without a node goes at once')

    await ask(PODS, { method: 'POST', body: pod('bound', { schedulerName: 'nobody', nodeName: 'n1' }) })
    const marked = await remove(`${PODS}/bound`)
    t.match(marked.body.metadata, { deletionGracePeriodSeconds: 30, deletionTimestamp: /Z$/, generation: 2 })
    const left = Date.parse(marked.body.metadata.deletionTimestamp)
    const same = await remove(`${PODS}/bound`)
    t.equal(same.body.metadata.resourceVersion, marked.body.metadata.resourceVersion)
    const shorter = await remove(`${PODS}/bound`, { gracePeriodSeconds: 10 })
    t.equal(shorter.body.metadata.deletionGracePeriodSeconds, 10)
    t.equal(Date.parse(shorter.body.metadata.deletionTimestamp), left - 20_000)
    const longer = await remove(`${PODS}/bound`, { gracePeriodSeconds: 60 })
    t.equal(longer.body.metadata.deletionGracePeriodSeconds, 10)
    t.match(await remove(`${PODS}/bound`, { gracePeriodSeconds: 0 }), { status: 200 })
    t.match(await ask(`${PODS}/bound`), { status: 404 })

    await ask(PODS, { method: 'POST', body: pod('done', { schedulerName: 'nobody', nodeName: 'n1' }) })
    await ask(`${PODS}/done/status`, {
      method: 'PATCH',
      body: { status: { phase: 'Succeeded' } },
      headers: MERGE,
    })
    await remove(`${PODS}/done`)
    t.match(await ask(`${PODS}/done`), { status: 404 }, 'a finished pod goes at once')

    const held = pod('held', { schedulerName: 'nobody', nodeName: 'n1' }, { finalizers: ['example.com/x'] })
    await ask(PODS, { method: 'POST', body: held })
    t.match((await remove(`${PODS}/held`, { gracePeriodSeconds: 0 })).body.metadata, {
      deletionGracePeriodSeconds: 0,
    })
    await ask(`${PODS}/held`, { method: 'PATCH', body: { metadata: { finalizers: null } }, headers: MERGE })
    t.match(await ask(`${PODS}/held`), { status: 404 })
  })

  t.test('eviction', async t => {
    await ask(PODS, { method: 'POST', body: pod('e', { schedulerName: 'nobody' }) })
    const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'e' } }
    t.match(await ask(`${PODS}/e/eviction`, { method: 'POST', body }), {
      status: 201,
      body: { status: 'Success' },
    })
    t.match(await ask(`${PODS}/e`), { status: 404 })
  })

  t.test('collections', async t => {
    for (const [name, tier] of [
      ['x', '1'],
      ['y', '2'],
      ['z', '1'],
    ]) {
      await ask(MAPS, { method: 'POST', body: map(name ?? '', { labels: { tier } }) })
    }
    const answer = await remove(`${MAPS}?labelSelector=tier%3D1`)
    t.equal(answer.body.items.length, 2)
    t.same(
      (await ask(MAPS)).body.items.map((item: { metadata: { name: string } }) => item.metadata.name),
      ['kube-root-ca.crt', 'y'],
    )
  })
})

t.test('namespaces', async t => {
  const { ask } = await temporaryMaster(t)
  const namespace = (name: string) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  const inside = '/api/v1/namespaces/going'

  t.test('are emptied, then go', async t => {
    const made = await ask('/api/v1/namespaces', { method: 'POST', body: namespace('going') })
    t.match(made.body, {
      metadata: { labels: { 'kubernetes.io/metadata.name': 'going' } },
      spec: { finalizers: ['kubernetes'] },
      status: { phase: 'Active' },
    })
    await ask(`${inside}/configmaps`, { method: 'POST', body: map('m') })
    await ask(`${inside}/pods`, {
      method: 'POST',
      body: pod('p', { schedulerName: 'nobody', nodeName: 'n1' }),
    })
    const marked = await ask(inside, { method: 'DELETE' })
    t.match(marked.body, { status: { phase: 'Terminating' }, metadata: { deletionTimestamp: /Z$/ } })
    const refused = await ask(`${inside}/configmaps`, { method: 'POST', body: map('late') })
    t.match(refused, {
      status: 403,
      body: {
        message: /because it is being terminated/,
        details: { causes: [{ reason: 'NamespaceTerminating' }] },
      },
    })
    await eventually(async () => (await ask(`${inside}/configmaps/m`)).status === 404, 'the map is gone')
    t.match(await ask(inside), { status: 200 }, 'the pod in its grace period holds the namespace')
    await ask(`${inside}/pods/p?gracePeriodSeconds=0`, { method: 'DELETE' })
    await eventually(async () => (await ask(inside)).status === 404, 'the namespace is gone')
    t.match(await ask('/api/v1/namespaces', { method: 'POST', body: namespace('going') }), { status: 201 })
    await eventually(
      async () => (await ask(`${inside}/serviceaccounts/default`)).status === 200,
      'it has its account again',
    )
  })

  t.test('nothing slips into a namespace that is going', async t => {
    await ask('/api/v1/namespaces', { method: 'POST', body: namespace('race') })
    const maps = '/api/v1/namespaces/race/configmaps'
    const answers = await Promise.all([
      ...Array.from({ length: 20 }, (_, index) => ask(maps, { method: 'POST', body: map(`before${index}`) })),
      ask('/api/v1/namespaces/race', { method: 'DELETE' }),
      ...Array.from({ length: 20 }, (_, index) => ask(maps, { method: 'POST', body: map(`after${index}`) })),
    ])
    t.ok(answers.every(({ status }) => [200, 201, 403, 404].includes(status)))
    await eventually(
      async () => (await ask('/api/v1/namespaces/race')).status === 404,
      'the namespace is gone',
    )
    t.same((await ask('/api/v1/namespaces/race/configmaps')).body.items, [], 'nothing is left over')
  })

  t.test('are held by finalizers of their own', async t => {
    const body = {
      ...namespace('held'),
      metadata: { name: 'held', labels: { a: 'b' }, finalizers: ['example.com/x'] },
    }
    await ask('/api/v1/namespaces', { method: 'POST', body })
    await ask('/api/v1/namespaces/held', { method: 'DELETE' })
    const emptied = await eventually(async () => {
      const answer = await ask('/api/v1/namespaces/held')
      return answer.body.spec.finalizers === undefined ? answer.body : undefined
    }, 'it is empty')
    t.match(emptied.metadata, { labels: { a: 'b' }, finalizers: ['example.com/x'] }, 'and keeps what it had')
    const free = { metadata: { finalizers: null } }
    await ask('/api/v1/namespaces/held', { method: 'PATCH', body: free, headers: MERGE })
    t.match(await ask('/api/v1/namespaces/held'), { status: 404 })
  })

  t.test('some stay for good', async t => {
    for (const name of ['default', 'kube-system', 'kube-public']) {
      t.match(await ask(`/api/v1/namespaces/${name}`, { method: 'DELETE' }), { status: 403 })
    }
  })

  t.test('the default service account comes back', async t => {
    const path = '/api/v1/namespaces/default/serviceaccounts/default'
    const { uid } = (await ask(path)).body.metadata
    await ask(path, { method: 'DELETE' })
    await eventually(async () => {
      const { status, body } = await ask(path)
      return status === 200 && body.metadata.uid !== uid
    }, 'a new account')
    t.pass('it is another one')
  })
})
