/** The scheduler on a real cluster. */
import t from 'tap'
import { eventually, node, pod, temporaryMaster } from './temporary-master.ts'

const PODS = '/api/v1/namespaces/default/pods'
const MERGE = { 'content-type': 'application/merge-patch+json' }

async function setUp(t: Parameters<typeof temporaryMaster>[0]) {
  const { ask } = await temporaryMaster(t)
  return {
    ask,
    create: (body: unknown) => ask(PODS, { method: 'POST', body }),
    addNode: (...args: Parameters<typeof node>) =>
      ask('/api/v1/nodes', { method: 'POST', body: node(...args) }),
    nodeOf: (name: string) =>
      eventually(
        async () => (await ask(`${PODS}/${name}`)).body.spec?.nodeName as string | undefined,
        `${name} is bound`,
      ),
    message: (name: string, pattern: RegExp) =>
      eventually(async () => {
        const { body } = await ask(`${PODS}/${name}`)
        const condition = body.status?.conditions?.find(
          ({ type }: { type: string }) => type === 'PodScheduled',
        )
        return condition?.status === 'False' && pattern.test(condition.message) ? condition : undefined
      }, `${name} says ${pattern}`),
  }
}

const requests = (cpu: string) => ({
  containers: [{ name: 'a', image: 'x', resources: { requests: { cpu } } }],
})

t.test('a pod gets a node, and an event', async t => {
  const { ask, create, addNode, nodeOf } = await setUp(t)
  await addNode('n1')
  await create(pod('a'))
  t.equal(await nodeOf('a'), 'n1')
  t.match((await ask(`${PODS}/a`)).body.status, { conditions: [{ type: 'PodScheduled', status: 'True' }] })
  await eventually(async () => {
    const { body } = await ask('/api/v1/events?fieldSelector=reason=Scheduled')
    return body.items.some(
      (event: { message: string }) => event.message === 'Successfully assigned default/a to n1',
    )
  }, 'the event')
})

t.test('a pod that fits nowhere says why, and is placed when something changes', async t => {
  const { ask, create, addNode, nodeOf, message } = await setUp(t)
  await create(pod('p', requests('3')))
  t.match(await message('p', /no nodes available to schedule pods/), { reason: 'Unschedulable' })
  await addNode('small', { allocatable: { cpu: '1' } })
  await addNode('tainted', { spec: { taints: [{ key: 'k', value: 'v', effect: 'NoSchedule' }] } })
  await message(
    'p',
    /^0\/2 nodes are available: 1 Insufficient cpu, 1 node\(s\) had untolerated taint \{k: v\}\.$/,
  )
  const events = await ask('/api/v1/events?fieldSelector=reason=FailedScheduling')
  t.match(events.body.items[0], {
    type: 'Warning',
    involvedObject: { kind: 'Pod', name: 'p' },
    source: { component: 'default-scheduler' },
  })
  await ask('/api/v1/nodes/tainted', { method: 'PATCH', body: { spec: { taints: null } }, headers: MERGE })
  t.equal(await nodeOf('p'), 'tainted')
  await create(pod('q', requests('3')))
  await message('q', /2 Insufficient cpu/)
  await ask(`${PODS}/p?gracePeriodSeconds=0`, { method: 'DELETE' })
  t.equal(await nodeOf('q'), 'tainted', 'the room of a deleted pod is used')
})

t.test('a finished pod leaves its room', async t => {
  const { ask, create, addNode, nodeOf, message } = await setUp(t)
  await addNode('n')
  await create(pod('p', requests('3')))
  await nodeOf('p')
  await create(pod('q', requests('3')))
  await message('q', /Insufficient cpu/)
  await ask(`${PODS}/p/status`, { method: 'PATCH', body: { status: { phase: 'Succeeded' } }, headers: MERGE })
  t.equal(await nodeOf('q'), 'n')
})

t.test('pods of a group are spread', async t => {
  const { create, addNode, nodeOf } = await setUp(t)
  for (const name of ['n1', 'n2', 'n3']) await addNode(name)
  const names = ['a', 'b', 'c', 'd', 'e', 'f']
  const labels = { 'drover.io/spread-group': 'web' }
  await Promise.all(names.map(name => create(pod(name, {}, { labels }))))
  const places = await Promise.all(names.map(nodeOf))
  for (const name of ['n1', 'n2', 'n3']) t.equal(places.filter(place => place === name).length, 2, name)
})

t.test('many pods at once never overfill a node', async t => {
  const { ask, create, addNode } = await setUp(t)
  await addNode('n1', { allocatable: { cpu: '2' } })
  await addNode('n2', { allocatable: { cpu: '2' } })
  await Promise.all(Array.from({ length: 12 }, (_, index) => create(pod(`p${index}`, requests('500m')))))
  const settled = await eventually(async () => {
    const { items } = (await ask(PODS)).body
    const bound = items.filter((item: { spec: { nodeName?: string } }) => item.spec.nodeName !== undefined)
    const refused = items.filter((item: { status: { conditions?: { reason?: string }[] } }) =>
      item.status.conditions?.some(({ reason }) => reason === 'Unschedulable'),
    )
    return bound.length + refused.length === 12 ? bound : undefined
  }, 'all are bound or refused')
  t.equal(settled.length, 8)
  for (const name of ['n1', 'n2']) {
    t.equal(settled.filter((item: { spec: { nodeName: string } }) => item.spec.nodeName === name).length, 4)
  }
})

t.test('pods that are none of its business', async t => {
  const { ask, create, addNode, nodeOf } = await setUp(t)
  await addNode('n')
  await create(pod('other', { schedulerName: 'another' }))
  await create(pod('gated', { schedulingGates: [{ name: 'example.com/wait' }] }))
  await create(pod('mine'))
  await nodeOf('mine')
  for (const name of ['other', 'gated']) t.notOk((await ask(`${PODS}/${name}`)).body.spec.nodeName, name)
  t.match((await ask(`${PODS}/gated`)).body.status.conditions, [{ reason: 'SchedulingGated' }])
  await ask(`${PODS}/gated`, { method: 'PATCH', body: { spec: { schedulingGates: null } }, headers: MERGE })
  t.equal(await nodeOf('gated'), 'n')
})

t.test('a more important pod makes room', async t => {
  const { ask, create, addNode, nodeOf } = await setUp(t)
  const classes = '/apis/scheduling.k8s.io/v1/priorityclasses'
  await ask(classes, { method: 'POST', body: { metadata: { name: 'high' }, value: 1000 } })
  await addNode('n1', { allocatable: { cpu: '2' } })
  await create(pod('low', requests('2')))
  t.equal(await nodeOf('low'), 'n1')
  await create(pod('high', { ...requests('1'), priorityClassName: 'high' }))
  // Nobody runs it here, so its end has to be confirmed as an agent would.
  await eventually(
    async () => (await ask(`${PODS}/low`)).body.metadata?.deletionTimestamp !== undefined,
    'the less important one is asked to end',
  )
  t.equal((await ask(`${PODS}/high`)).body.status.nominatedNodeName, 'n1')
  const { conditions } = (await ask(`${PODS}/low`)).body.status
  t.ok(conditions.some(({ reason }: { reason?: string }) => reason === 'PreemptionByScheduler'))
  // The room is not for whoever comes first.
  await create(pod('other', requests('1500m')))
  await ask(`${PODS}/low`, { method: 'DELETE', body: { gracePeriodSeconds: 0 } })
  t.equal(await nodeOf('high'), 'n1')
  t.equal((await ask(`${PODS}/other`)).body.spec.nodeName, undefined)
  const { body } = await ask('/api/v1/events?fieldSelector=reason=Preempted')
  t.match(body.items[0]?.message, /^Preempted by pod \S+ on node n1$/)
})

t.test('budgets say who makes room', async t => {
  const { ask, create, addNode, nodeOf } = await setUp(t)
  const classes = '/apis/scheduling.k8s.io/v1/priorityclasses'
  await ask(classes, { method: 'POST', body: { metadata: { name: 'high' }, value: 1000 } })
  await addNode('n1', { allocatable: { cpu: '2' } })
  await addNode('n2', { allocatable: { cpu: '2' } })
  for (const name of ['db', 'web']) {
    await create(pod(name, requests('2'), { labels: { app: name } }))
    await nodeOf(name)
  }
  const spec = { minAvailable: 1, selector: { matchLabels: { app: 'db' } } }
  const budgets = '/apis/policy/v1/namespaces/default/poddisruptionbudgets'
  await ask(budgets, { method: 'POST', body: { metadata: { name: 'db' }, spec } })
  await create(pod('high', { ...requests('1'), priorityClassName: 'high' }))
  const going = async (name: string) => (await ask(`${PODS}/${name}`)).body.metadata?.deletionTimestamp
  await eventually(async () => (await going('web')) !== undefined, 'the one that may go is asked to')
  t.equal(await going('db'), undefined)
})

t.test('a pod goes to the node that somebody has chosen for it', async t => {
  const { ask, create, addNode, nodeOf } = await setUp(t)
  await addNode('n1')
  await addNode('n2')
  await create(pod('there', { ...requests('1'), nodeName: 'n2' }))
  for (const [name, target] of [
    ['fuller', 'n2'],
    ['gone', 'n9'],
  ] as const) {
    await create(pod(name, { ...requests('1'), schedulingGates: [{ name: 'example.com/wait' }] }))
    const body = { status: { nominatedNodeName: target } }
    t.equal((await ask(`${PODS}/${name}/status`, { method: 'PATCH', body, headers: MERGE })).status, 200)
    await ask(`${PODS}/${name}`, {
      method: 'PATCH',
      body: { spec: { schedulingGates: null } },
      headers: MERGE,
    })
  }
  t.equal(await nodeOf('fuller'), 'n2', 'although the other one is emptier')
  t.equal(await nodeOf('gone'), 'n1', 'one that is not there is no choice')
})

t.test('pods go where their volumes are', async t => {
  const { ask, create, addNode, nodeOf, message } = await setUp(t)
  await addNode('n1')
  await addNode('n2')
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }]
  await create(pod('p', { volumes }))
  await message('p', /persistentvolumeclaim "data" not found/)
  const size = { requests: { storage: '1Gi' } }
  await ask('/api/v1/namespaces/default/persistentvolumeclaims', {
    method: 'POST',
    body: {
      metadata: { name: 'data' },
      spec: { accessModes: ['ReadWriteOnce'], storageClassName: '', resources: size },
    },
  })
  await message('p', /pod has unbound immediate PersistentVolumeClaims/)
  const matchExpressions = [{ key: 'kubernetes.io/hostname', operator: 'In', values: ['n2'] }]
  await ask('/api/v1/persistentvolumes', {
    method: 'POST',
    body: {
      metadata: { name: 'disk' },
      spec: {
        capacity: { storage: '1Gi' },
        accessModes: ['ReadWriteOnce'],
        local: { path: '/data' },
        nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions }] } },
      },
    },
  })
  t.equal(await nodeOf('p'), 'n2')
})

t.test('replicas are spread over zones', async t => {
  const { create, addNode, nodeOf } = await setUp(t)
  for (const [name, zone] of [
    ['a1', 'a'],
    ['a2', 'a'],
    ['b1', 'b'],
  ] as const) {
    await addNode(name, { labels: { zone } })
  }
  const labels = { app: 'web' }
  const topologySpreadConstraints = [
    {
      maxSkew: 1,
      topologyKey: 'zone',
      whenUnsatisfiable: 'DoNotSchedule',
      labelSelector: { matchLabels: labels },
    },
  ]
  const names = Array.from({ length: 6 }, (_, index) => `w${index}`)
  await Promise.all(names.map(name => create(pod(name, { topologySpreadConstraints }, { labels }))))
  const nodes = await Promise.all(names.map(nodeOf))
  t.equal(nodes.filter(name => name === 'b1').length, 3)
})
