/** Daemon sets, and replication controllers. */
import t from 'tap'
import type { DaemonSet, Frozen, Node } from '../../../../server/master/apiserver/index.ts'
import {
  daemonSpec,
  planDaemonSet,
  suitabilityOf,
} from '../../../../server/master/controllers/daemon-set-plan.ts'
import type { OwnedPod } from '../../../../server/master/controllers/owned-pods.ts'
import { runPods } from './running-pods.ts'
import { eventually, node, temporaryMaster } from './temporary-master.ts'

const SETS = '/apis/apps/v1/namespaces/default/daemonsets'
const PODS = '/api/v1/namespaces/default/pods'
const MERGE = { 'content-type': 'application/merge-patch+json' }

const template = (app: string, image: string, spec: object = {}) => ({
  metadata: { labels: { app } },
  spec: { containers: [{ name: 'main', image }], ...spec },
})

t.test('daemon sets', async t => {
  const master = await temporaryMaster(t)
  const { ask } = master
  for (const name of ['n1', 'n2', 'n3']) await ask('/api/v1/nodes', { method: 'POST', body: node(name) })
  await ask('/api/v1/nodes', {
    method: 'POST',
    body: node('n4', { spec: { taints: [{ key: 'only', value: 'x', effect: 'NoSchedule' }] } }),
  })
  await runPods(t, master)
  const places = async (app: string) => {
    const { items } = (await ask(`${PODS}?labelSelector=app=${app}`)).body
    return items
      .map(
        (each: { spec: { nodeName?: string; containers: { image: string }[] } }) =>
          `${each.spec.nodeName} ${each.spec.containers[0]?.image}`,
      )
      .toSorted()
      .join(', ')
  }
  const settled = (name: string, count: number) =>
    eventually(async () => {
      const { metadata, status } = (await ask(`${SETS}/${name}`)).body
      return (
        status.observedGeneration === metadata.generation &&
        status.desiredNumberScheduled === count &&
        (status.updatedNumberScheduled ?? 0) === count &&
        (status.numberAvailable ?? 0) === count &&
        status
      )
    }, `${name} is on ${count}`)
  const patch = (place: string, body: object) => ask(place, { method: 'PATCH', body, headers: MERGE })

  t.test('are on every node that is for them', async t => {
    const body = {
      metadata: { name: 'all' },
      spec: { selector: { matchLabels: { app: 'all' } }, template: template('all', 'a:1') },
    }
    t.equal((await ask(SETS, { method: 'POST', body })).status, 201)
    const status = await settled('all', 3)
    t.match(status, { currentNumberScheduled: 3, numberReady: 3, numberMisscheduled: 0 })
    t.equal(await places('all'), 'n1 a:1, n2 a:1, n3 a:1')
    await patch('/api/v1/nodes/n4', { spec: { taints: null } })
    await settled('all', 4)
    await ask('/api/v1/nodes/n4', { method: 'DELETE' })
    await settled('all', 3)
    await eventually(
      async () => (await places('all')) === 'n1 a:1, n2 a:1, n3 a:1',
      'its pod is gone with it',
    )
    await patch('/api/v1/nodes/n3', { spec: { unschedulable: true } })
    await ask(`${PODS}?labelSelector=app=all`, { method: 'DELETE' })
    await eventually(
      async () => (await places('all')) === 'n1 a:1, n2 a:1, n3 a:1',
      'they come back, also to a cordoned node',
    )
  })

  t.test('roll, go back, and choose', async t => {
    await patch(`${SETS}/all`, {
      spec: { template: { spec: { containers: [{ name: 'main', image: 'a:2' }] } } },
    })
    await settled('all', 3)
    t.equal(await places('all'), 'n1 a:2, n2 a:2, n3 a:2')
    const revisions = (await ask('/apis/apps/v1/namespaces/default/controllerrevisions')).body.items
    t.strictSame(revisions.map(({ revision }: { revision: number }) => revision).toSorted(), [1, 2])
    await patch(`${SETS}/all`, {
      spec: { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } },
    })
    await patch(`${SETS}/all`, {
      spec: { template: { spec: { containers: [{ name: 'main', image: 'a:3' }] } } },
    })
    await settled('all', 3)
    t.equal(await places('all'), 'n1 a:3, n2 a:3, n3 a:3')
    await patch('/api/v1/nodes/n2', { metadata: { labels: { role: 'edge' } } })
    await patch(`${SETS}/all`, { spec: { template: { spec: { nodeSelector: { role: 'edge' } } } } })
    await settled('all', 1)
    await eventually(async () => (await places('all')) === 'n2 a:3', 'the others are gone')
    await ask(`${SETS}/all`, { method: 'DELETE', body: { propagationPolicy: 'Background' } })
    await eventually(async () => (await places('all')) === '', 'all are gone')
  })

  t.test('replication controllers', async t => {
    const place = '/api/v1/namespaces/default/replicationcontrollers'
    const body = { metadata: { name: 'old' }, spec: { replicas: 2, template: template('old', 'o:1') } }
    t.equal((await ask(place, { method: 'POST', body })).status, 201)
    await eventually(async () => (await ask(`${place}/old`)).body.status.availableReplicas === 2, 'two run')
    await patch(`${place}/old/scale`, { spec: { replicas: 1 } })
    await eventually(async () => (await ask(`${place}/old`)).body.status.replicas === 1, 'one runs')
    await ask(`${place}/old`, { method: 'DELETE', body: { propagationPolicy: 'Background' } })
    await eventually(async () => (await places('old')) === '', 'none runs')
  })
})

t.test('which nodes', async t => {
  const on = (spec: object, made: object) =>
    suitabilityOf(template('a', 'a', spec) as never, made as unknown as Frozen<Node>)
  const plain = { metadata: { name: 'n', labels: { zone: 'a' } }, spec: {} }
  const tainted = (effect: string, key = 'k') => ({ ...plain, spec: { taints: [{ key, effect }] } })
  t.strictSame(on({}, plain), { runs: true, stays: true })
  t.strictSame(on({ nodeSelector: { zone: 'b' } }, plain), { runs: false, stays: false })
  t.strictSame(on({}, tainted('NoSchedule')), { runs: false, stays: true })
  t.strictSame(on({}, tainted('NoExecute')), { runs: false, stays: false })
  t.strictSame(on({}, tainted('NoExecute', 'node.kubernetes.io/unreachable')), { runs: true, stays: true })
  t.strictSame(on({ tolerations: [{ key: 'k', operator: 'Exists' }] }, tainted('NoSchedule')), {
    runs: true,
    stays: true,
  })
  const spec = daemonSpec(template('a', 'a', { hostNetwork: true }) as never, 'n')
  t.equal(spec.tolerations?.length, 7)
  t.match(spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms, [
    { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n'] }] },
  ])
})

t.test('which pods are replaced', async t => {
  const nodes = ['a', 'b', 'c'].map(name => ({ metadata: { name }, spec: {} }) as unknown as Frozen<Node>)
  const owned = (destination: string, hash: string, more: Partial<OwnedPod> = {}) =>
    ({
      name: `${destination}-${hash}`,
      destination,
      labels: { 'controller-revision-hash': hash },
      phase: 'Running',
      readySince: 0,
      deleting: false,
      created: 0,
      ...more,
    }) as OwnedPod
  const plan = (rollingUpdate: object, ...pods: OwnedPod[]) => {
    const set = {
      metadata: { name: 's' },
      spec: { template: template('a', 'a'), updateStrategy: { type: 'RollingUpdate', rollingUpdate } },
    } as unknown as Frozen<DaemonSet>
    const { create, remove } = planDaemonSet(set, nodes, pods, 'new', 1_000)
    return { create, remove: remove.map(({ name }) => name) }
  }
  const gap = { maxUnavailable: 1, maxSurge: 0 }
  const all = ['a', 'b', 'c'].map(name => owned(name, 'old'))
  t.strictSame(plan(gap, ...all), { create: [], remove: ['a-old'] })
  t.strictSame(plan(gap, owned('a', 'new', { readySince: undefined }), ...all.slice(1)), {
    create: [],
    remove: [],
  })
  t.strictSame(plan(gap, owned('a', 'new'), ...all.slice(1)), { create: [], remove: ['b-old'] })
  t.strictSame(
    plan(gap, owned('a', 'old', { readySince: undefined }), ...all.slice(1)),
    { create: [], remove: ['a-old'] },
    'what does not work goes first, and is the gap',
  )
  t.strictSame(plan({ maxUnavailable: '100%', maxSurge: 0 }, ...all).remove.length, 3)
  const surge = { maxUnavailable: 0, maxSurge: 1 }
  t.strictSame(plan(surge, ...all), { create: ['a'], remove: [] })
  t.strictSame(plan(surge, owned('a', 'new', { readySince: undefined }), ...all), { create: [], remove: [] })
  t.strictSame(plan(surge, owned('a', 'new'), ...all), { create: ['b'], remove: ['a-old'] })
  t.strictSame(plan(gap), { create: ['a', 'b', 'c'], remove: [] })
  t.strictSame(plan(gap, owned('gone', 'new')).remove, ['gone-new'])
})
