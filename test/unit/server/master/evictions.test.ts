/** Pods of lost nodes: moved after a while, never while all nodes seem lost. */
import t from 'tap'
import { leavingTime } from '../../../../server/master/controllers/taint-evictions.ts'
import { ManualClock } from './manual-clock.ts'
import { eventually, node, pod, temporaryMaster } from './temporary-master.ts'

const LEASES = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'
const PODS = '/api/v1/namespaces/default/pods'

async function setUp(t: Parameters<typeof temporaryMaster>[0], nodes: readonly string[]) {
  const clock = new ManualClock()
  const { ask } = await temporaryMaster(t, { clock })
  for (const name of nodes) {
    await ask('/api/v1/nodes', { method: 'POST', body: node(name) })
    const spec = {
      holderIdentity: name,
      leaseDurationSeconds: 40,
      renewTime: new Date(clock.now()).toISOString(),
    }
    const renewTime = spec.renewTime.replace('Z', '000Z')
    await ask(LEASES, { method: 'POST', body: { metadata: { name }, spec: { ...spec, renewTime } } })
  }
  let count = 0
  const renew = async (...names: string[]) => {
    for (const name of names) {
      count += 1
      const renewTime = new Date(clock.now() + count).toISOString().replace('Z', '000Z')
      const headers = { 'content-type': 'application/merge-patch+json' }
      await ask(`${LEASES}/${name}`, { method: 'PATCH', headers, body: { spec: { renewTime } } })
    }
  }
  const taints = async (name: string) =>
    ((await ask(`/api/v1/nodes/${name}`)).body.spec.taints ?? []).map(
      ({ key, effect }: { key: string; effect: string }) => `${key.split('/')[1]}:${effect}`,
    ) as string[]
  const tainted = (name: string, wanted: readonly string[]) =>
    eventually(async () => (await taints(name)).join() === wanted.join(), `${name} has ${wanted.join()}`)
  const place = (name: string, on: string, spec: object = {}) =>
    ask(PODS, { method: 'POST', body: pod(name, { nodeName: on, ...spec }) })
  const isLeaving = async (name: string) =>
    (await ask(`${PODS}/${name}`)).body.metadata?.deletionTimestamp !== undefined
  return { ask, clock, renew, taints, tainted, place, isLeaving }
}

t.test('pods leave a lost node when their patience ends', async t => {
  const { clock, renew, tainted, place, isLeaving, ask } = await setUp(t, ['n1', 'n2', 'n3'])
  await place('patient', 'n3')
  await place('hasty', 'n3', {
    tolerations: [
      {
        key: 'node.kubernetes.io/unreachable',
        operator: 'Exists',
        effect: 'NoExecute',
        tolerationSeconds: 10,
      },
    ],
  })
  await place('faithful', 'n3', { tolerations: [{ operator: 'Exists' }] })
  await place('elsewhere', 'n1')
  clock.advance(30_000)
  await renew('n1', 'n2')
  clock.advance(11_000)
  await tainted('n3', ['unreachable:NoSchedule', 'unreachable:NoExecute'])
  clock.advance(11_000)
  await eventually(async () => await isLeaving('hasty'), 'the hasty one leaves')
  t.notOk(await isLeaving('patient'))
  t.match((await ask(`${PODS}/hasty`)).body.status.conditions, [
    { type: 'DisruptionTarget', status: 'True', reason: 'DeletionByTaintManager' },
  ])
  await renew('n1', 'n2')
  for (let seconds = 0; seconds < 300; seconds += 20) {
    clock.advance(20_000)
    await renew('n1', 'n2')
  }
  await eventually(async () => await isLeaving('patient'), 'after five minutes the others')
  t.notOk(await isLeaving('faithful'))
  t.notOk(await isLeaving('elsewhere'))
  const { body } = await ask('/api/v1/events?fieldSelector=reason=TaintManagerEviction')
  t.equal(body.items.length, 2)
})

t.test('when most nodes are lost at once, nothing is moved', async t => {
  const { clock, renew, tainted, place, isLeaving } = await setUp(t, ['n1', 'n2', 'n3'])
  await place('p', 'n2')
  clock.advance(30_000)
  await renew('n1')
  clock.advance(11_000)
  for (const name of ['n2', 'n3']) await tainted(name, ['unreachable:NoSchedule'])
  for (let seconds = 0; seconds < 600; seconds += 20) {
    clock.advance(20_000)
    await renew('n1')
  }
  t.notOk(await isLeaving('p'))
  // One comes back: the other really is lost.
  await renew('n1', 'n3')
  await tainted('n3', [])
  await tainted('n2', ['unreachable:NoSchedule', 'unreachable:NoExecute'])
  t.notOk(await isLeaving('p'), 'its time begins now')
})

t.test('when a pod has to leave', async t => {
  const taint = { key: 'k', value: 'v', effect: 'NoExecute', timeAdded: '2026-01-01T00:00:00Z' }
  const since = Date.parse(taint.timeAdded)
  const now = since + 5_000
  t.equal(leavingTime([], [taint], now), now)
  t.equal(leavingTime([{ key: 'k', operator: 'Exists' }], [taint], now), undefined)
  t.equal(leavingTime([{ key: 'k', value: 'v', tolerationSeconds: 60 }], [taint], now), since + 60_000)
  t.equal(leavingTime([{ key: 'k', value: 'w' }], [taint], now), now)
  t.equal(
    leavingTime(
      [
        { key: 'k', operator: 'Exists', tolerationSeconds: 60 },
        { operator: 'Exists', tolerationSeconds: 20 },
      ],
      [taint],
      now,
    ),
    since + 20_000,
  )
  t.equal(leavingTime([{ operator: 'Exists', effect: 'NoSchedule' }], [taint], now), now)
  t.equal(leavingTime([], [], now), undefined)
})

t.test('what a node lacks keeps new pods away, and moves none', async t => {
  const { ask, tainted, place, isLeaving } = await setUp(t, ['n1'])
  await place('p', 'n1')
  const headers = { 'content-type': 'application/strategic-merge-patch+json' }
  const say = async (type: string, status: string) =>
    await ask('/api/v1/nodes/n1/status', {
      method: 'PATCH',
      headers,
      body: { status: { conditions: [{ type, status, reason: 'R', message: 'm' }] } },
    })
  await say('MemoryPressure', 'True')
  await tainted('n1', ['memory-pressure:NoSchedule'])
  await say('DiskPressure', 'True')
  await say('PIDPressure', 'True')
  await tainted('n1', ['memory-pressure:NoSchedule', 'disk-pressure:NoSchedule', 'pid-pressure:NoSchedule'])
  await say('MemoryPressure', 'False')
  await say('DiskPressure', 'Unknown')
  await tainted('n1', ['pid-pressure:NoSchedule'])
  t.notOk(await isLeaving('p'))
})
