/** Jobs with the pods that come of them. */
import t from 'tap'
import { formatIndexes, parseIndexes } from '../../../../server/master/controllers/job-indexes.ts'
import { ManualClock } from './manual-clock.ts'
import { runPods } from './running-pods.ts'
import { eventually, node, temporaryMaster } from './temporary-master.ts'

const POD_LIST = '/api/v1/namespaces/default/pods'
const MERGE = { 'content-type': 'application/merge-patch+json' }

t.test('jobs', async t => {
  const clock = new ManualClock()
  const master = await temporaryMaster(t, { clock })
  const { ask } = master
  const JOBS = '/apis/batch/v1/namespaces/default/jobs'
  await ask('/api/v1/nodes', { method: 'POST', body: node('n1') })
  await runPods(t, master)
  const job = (name: string, image: string, spec: object = {}) =>
    ask(JOBS, {
      method: 'POST',
      body: {
        metadata: { name },
        spec: {
          template: { spec: { restartPolicy: 'Never', containers: [{ name: 'main', image }] } },
          ...spec,
        },
      },
    })
  const shown = async (name: string) => (await ask(`${JOBS}/${name}`)).body
  const podsOf = async (name: string) =>
    (await ask(`${POD_LIST}?labelSelector=job-name=${name}`)).body.items as {
      metadata: { finalizers?: string[]; annotations?: Record<string, string> }
    }[]
  const ends = (name: string, type: string) =>
    eventually(async () => {
      const { status } = await shown(name)
      return (
        status?.conditions?.some(
          (each: { type: string; status: string }) => each.type === type && each.status === 'True',
        ) && status
      )
    }, `${name}: ${type}`)

  /** Moves the time on, with a node that goes on saying that it lives. */
  const later = async (milliseconds: number) => {
    clock.advance(milliseconds)
    const time = `${new Date(clock.now()).toISOString().slice(0, -5)}Z`
    const conditions = [{ type: 'Ready', status: 'True', reason: 'KubeletReady', lastHeartbeatTime: time }]
    await ask('/api/v1/nodes/n1/status', {
      method: 'PATCH',
      body: { status: { conditions } },
      headers: MERGE,
    })
  }

  t.test('complete, and every pod counts once', async t => {
    t.equal((await job('five', 'done', { completions: 5, parallelism: 2 })).status, 201)
    const status = await ends('five', 'Complete')
    t.equal(status.succeeded, 5)
    t.equal(status.active, undefined)
    t.ok(status.completionTime >= status.startTime)
    await eventually(
      async () => (await podsOf('five')).every(({ metadata }) => metadata.finalizers === undefined),
      'pods are let go',
    )
    t.equal((await podsOf('five')).length, 5)
  })

  t.test('pods that are taken aside, and come back', async () => {
    await job('aside', 'runs', { parallelism: 1 })
    await eventually(async () => (await podsOf('aside')).length === 1, 'one runs')
    const [first] = (await ask(`${POD_LIST}?labelSelector=job-name=aside`)).body.items
    const place = `${POD_LIST}/${first.metadata.name}`
    const change = (metadata: object) => ask(place, { method: 'PATCH', headers: MERGE, body: { metadata } })
    const seen = async () => (await ask(place)).body.metadata
    const hold = (metadata: { ownerReferences?: unknown[]; finalizers?: unknown[] }) =>
      metadata.ownerReferences?.length === 1 && metadata.finalizers?.length === 1
    await change({ ownerReferences: null })
    await eventually(async () => hold(await seen()), 'an orphan is adopted, and held until it is counted')
    const labels = Object.fromEntries(Object.keys(first.metadata.labels).map(key => [key, null]))
    await change({ labels })
    await eventually(async () => {
      const { ownerReferences, finalizers } = await seen()
      return ownerReferences === undefined && finalizers === undefined
    }, 'one that does not match any more is let go')
    await eventually(async () => (await podsOf('aside')).length === 1, 'another one runs')
    await ask(place, { method: 'DELETE' })
    await ask(`${JOBS}/aside`, { method: 'DELETE', body: { propagationPolicy: 'Foreground' } })
  })

  t.test('tasks by number', async t => {
    await job('tasks', 'done', { completions: 3, parallelism: 3, completionMode: 'Indexed' })
    const status = await ends('tasks', 'Complete')
    t.equal(status.completedIndexes, '0-2')
    const indexes = (await podsOf('tasks')).map(
      ({ metadata }) => metadata.annotations?.['batch.kubernetes.io/job-completion-index'],
    )
    t.strictSame(indexes.toSorted(), ['0', '1', '2'])
  })

  t.test('fail after so many pods, with pauses between them', async t => {
    await job('wrong', 'broken', { backoffLimit: 1 })
    await eventually(async () => (await shown('wrong')).status?.failed === 1, 'one failed')
    t.equal((await podsOf('wrong')).length, 1, 'another one waits')
    await later(10_000)
    const status = await ends('wrong', 'Failed')
    t.equal(status.failed, 2)
    t.match(status.conditions, [{ type: 'Failed', reason: 'BackoffLimitExceeded' }])
  })

  t.test('a deadline', async t => {
    await job('late', 'web:1', { activeDeadlineSeconds: 60 })
    await eventually(async () => (await shown('late')).status?.active === 1, 'it runs')
    await later(60_000)
    t.match((await ends('late', 'Failed')).conditions, [{ reason: 'DeadlineExceeded' }])
    await eventually(async () => (await podsOf('late')).length === 0, 'its pod is gone')
  })

  t.test('suspended and resumed', async t => {
    await job('paused', 'done', { suspend: true })
    await ends('paused', 'Suspended')
    t.equal((await podsOf('paused')).length, 0)
    await ask(`${JOBS}/paused`, { method: 'PATCH', body: { spec: { suspend: false } }, headers: MERGE })
    t.equal((await ends('paused', 'Complete')).succeeded, 1)
  })

  t.test('pods that outlive their job are let go', async t => {
    await job('left', 'web:1')
    await eventually(async () => (await podsOf('left')).length === 1, 'it runs')
    t.strictSame((await podsOf('left'))[0]?.metadata.finalizers, ['batch.kubernetes.io/job-tracking'])
    await ask(`${JOBS}/left`, { method: 'DELETE', body: { propagationPolicy: 'Orphan' } })
    await eventually(async () => {
      const [left] = await podsOf('left')
      return left !== undefined && left.metadata.finalizers === undefined
    }, 'nothing holds it')
  })

  t.test('gone with their pods', async () => {
    await ask(`${JOBS}/five`, { method: 'DELETE', body: { propagationPolicy: 'Background' } })
    await eventually(async () => (await podsOf('five')).length === 0, 'pods are gone')
    await job('short', 'done', { ttlSecondsAfterFinished: 30 })
    await ends('short', 'Complete')
    await later(31_000)
    await eventually(async () => (await ask(`${JOBS}/short`)).status === 404, 'its time is over')
    await eventually(async () => (await podsOf('short')).length === 0, 'and its pods went before')
  })
})

t.test('numbers of tasks as text', async t => {
  t.equal(formatIndexes(new Set([5, 0, 1, 2, 7, 8])), '0-2,5,7,8')
  t.strictSame([...parseIndexes('0-2,5')], [0, 1, 2, 5])
  t.equal(formatIndexes(parseIndexes('')), '')
})
