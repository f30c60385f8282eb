/** Node life cycle and the expiry of events, with a clock that the test moves. */
import t from 'tap'
import { planNode } from '../../../../server/master/controllers/node-health.ts'
import type { Frozen, Node } from '../../../../server/master/index.ts'
import { ManualClock } from './manual-clock.ts'
import { eventually, node, temporaryMaster } from './temporary-master.ts'

const MERGE = { 'content-type': 'application/merge-patch+json' }
const LEASES = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'

t.test('a silent node', async t => {
  const clock = new ManualClock()
  const { ask } = await temporaryMaster(t, { clock })
  const renew = async (name: string) => {
    const renewTime = `${new Date(clock.now()).toISOString().slice(0, -1)}000Z`
    const spec = { holderIdentity: name, leaseDurationSeconds: 40, renewTime }
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name }, spec }
    const made = await ask(LEASES, { method: 'POST', body: lease })
    if (made.status === 409)
      await ask(`${LEASES}/${name}`, { method: 'PATCH', body: { spec }, headers: MERGE })
  }
  const show = async (name: string) => {
    const { body } = await ask(`/api/v1/nodes/${name}`)
    const condition = (type: string) =>
      body.status.conditions.find((item: { type: string }) => item.type === type)
    return {
      ready: condition('Ready'),
      pressure: condition('MemoryPressure'),
      taints: body.spec.taints ?? [],
      metadata: body.metadata,
    }
  }
  const until = (name: string, check: (shown: Awaited<ReturnType<typeof show>>) => boolean, what: string) =>
    eventually(async () => {
      const shown = await show(name)
      return check(shown) ? shown : undefined
    }, what)
  for (const name of ['lively', 'silent']) {
    const body = node(name, { spec: { taints: [{ key: 'own', effect: 'NoSchedule' }] } })
    body.status.conditions.push({ type: 'MemoryPressure', status: 'False', reason: 'Fine', message: '' })
    await ask('/api/v1/nodes', { method: 'POST', body })
    await renew(name)
  }
  clock.advance(30_000)
  await renew('lively')
  // The feed has brought the renewal when what was written after it is seen.
  await eventually(async () => (await ask(`${LEASES}/lively`)).status === 200, 'the lease')
  await new Promise(resolve => setImmediate(resolve))
  clock.advance(10_000)
  const silent = await until(
    'silent',
    ({ ready, taints }) => ready.status === 'Unknown' && taints.length === 3,
    'it is marked',
  )
  t.match(silent.ready, { reason: 'NodeStatusUnknown', message: 'Kubelet stopped posting node status.' })
  t.equal(silent.pressure.status, 'Unknown')
  t.match(silent.taints, [{ key: 'own' }, { key: 'node.kubernetes.io/unreachable', effect: 'NoSchedule' }])
  const lively = await show('lively')
  t.equal(lively.ready.status, 'True')
  t.equal(lively.taints.length, 1)
  await eventually(
    async () => (await ask('/api/v1/events?fieldSelector=reason=NodeNotReady')).body.items.length === 1,
    'an event',
  )

  await renew('silent')
  const back = await until(
    'silent',
    ({ ready, taints }) => ready.status === 'True' && taints.length === 1,
    'it is back',
  )
  t.equal(back.pressure.status, 'False', 'every condition is what it was before')
  t.notOk(back.metadata.annotations, 'and nothing is left on it')
})

t.test('what a node should say', async t => {
  const object = node('n') as unknown as Frozen<Node>
  const now = Date.parse('2026-01-01T00:00:00Z')
  t.same(
    planNode(object, { silent: false, evicts: true }, now),
    { status: undefined, spec: undefined, event: undefined },
    'a healthy node is left alone',
  )
  const marked = planNode(object, { silent: true, evicts: true }, now)
  t.match(marked.status, { status: { conditions: [{ type: 'Ready', status: 'Unknown' }] } })
  t.equal(marked.spec, undefined, 'the taint comes after the status')
  const bare = { ...object, status: {} } as Frozen<Node>
  t.match(planNode(bare, { silent: true, evicts: true }, now).status, {
    status: { conditions: [{ type: 'Ready', status: 'Unknown' }] },
  })
  const unknown = {
    ...object,
    metadata: { ...object.metadata, annotations: { 'drover.io/conditions-before-unreachable': 'not json' } },
    status: { conditions: [{ type: 'Ready', status: 'Unknown', reason: 'NodeStatusUnknown' }] },
  } as Frozen<Node>
  t.equal(planNode(unknown, { silent: true, evicts: true }, now).status, undefined)
  t.match(planNode(unknown, { silent: true, evicts: true }, now).spec, {
    spec: { taints: [{ key: 'node.kubernetes.io/unreachable' }] },
  })
  t.match(planNode(unknown, { silent: false, evicts: true }, now).status, {
    status: { conditions: [{ status: 'True', reason: 'NodeLeaseRenewed' }] },
  })
})

t.test('events expire an hour after they happened last', async t => {
  const clock = new ManualClock()
  const { ask } = await temporaryMaster(t, { clock })
  const events = '/api/v1/namespaces/default/events'
  const event = (name: string) => ({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name },
    involvedObject: { kind: 'Pod', namespace: 'default', name: 'p' },
  })
  const names = async () =>
    (await ask(events)).body.items.map((item: { metadata: { name: string } }) => item.metadata.name)
  for (const name of ['a', 'b']) await ask(events, { method: 'POST', body: event(name) })
  clock.advance(40 * 60_000)
  await ask(`${events}/b`, { method: 'PATCH', body: { count: 2 }, headers: MERGE })
  await ask(events, { method: 'POST', body: event('c') })
  await new Promise(resolve => setImmediate(resolve))
  clock.advance(20 * 60_000)
  await eventually(async () => !(await names()).includes('a'), 'the first one is gone')
  t.same(await names(), ['b', 'c'])
  clock.advance(40 * 60_000)
  await eventually(async () => (await names()).length === 0, 'all are gone')
})
