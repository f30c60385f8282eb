/** Stateful sets: order, claims, rolling updates, revisions. */
import t from 'tap'
import type { Frozen, StatefulSet } from '../../../../server/master/apiserver/index.ts'
import type { OwnedPod } from '../../../../server/master/controllers/owned-pods.ts'
import { planStatefulSet } from '../../../../server/master/controllers/stateful-set-plan.ts'
import { runPods } from './running-pods.ts'
import { eventually, node, temporaryMaster } from './temporary-master.ts'

const SETS = '/apis/apps/v1/namespaces/default/statefulsets'
const PODS = '/api/v1/namespaces/default/pods'
const CLAIMS = '/api/v1/namespaces/default/persistentvolumeclaims'
const REVISIONS = '/apis/apps/v1/namespaces/default/controllerrevisions'
const MERGE = { 'content-type': 'application/merge-patch+json' }

function stateful(name: string, image: string, spec: object = {}) {
  return {
    metadata: { name },
    spec: {
      replicas: 3,
      serviceName: name,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'main', image }] } },
      ...spec,
    },
  }
}

const claim = {
  metadata: { name: 'data' },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
}

t.test('stateful sets', async t => {
  const master = await temporaryMaster(t)
  const { ask } = master
  await ask('/api/v1/nodes', { method: 'POST', body: node('n1') })
  await runPods(t, master)
  const shown = async (name: string) => (await ask(`${SETS}/${name}`)).body
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
  const items = async (place: string) => (await ask(place)).body.items as any[]
  const podsOf = async (app: string) =>
    (await items(`${PODS}?labelSelector=app=${app}`)).map(({ metadata, spec }) => ({
      name: metadata.name as string,
      image: spec.containers[0].image as string,
      created: metadata.creationTimestamp as string,
    }))
  const settled = (name: string, check: (status: Record<string, number | string>) => boolean) =>
    eventually(async () => {
      const { metadata, status } = await shown(name)
      return status.observedGeneration === metadata.generation && check(status) && status
    }, `${name} is settled`)
  const patch = (name: string, body: object) =>
    ask(`${SETS}/${name}`, { method: 'PATCH', body, headers: MERGE })
  const image = (name: string) => ({
    spec: { template: { spec: { containers: [{ name: 'main', image: name }] } } },
  })

  t.test('run in order, with claims of their own', async t => {
    const body = stateful('db', 'db:1', { volumeClaimTemplates: [claim] })
    const [container] = body.spec.template.spec.containers
    const mounting = (name: string) =>
      Object.assign(container ?? {}, { volumeMounts: [{ name, mountPath: '/data' }] })
    mounting('other')
    t.match((await ask(SETS, { method: 'POST', body })).body, { code: 422, message: /"other"/ })
    mounting('data')
    t.equal((await ask(SETS, { method: 'POST', body })).status, 201)
    const status = await settled('db', ({ availableReplicas }) => availableReplicas === 3)
    t.match(status, { replicas: 3, readyReplicas: 3, currentReplicas: 3, updatedReplicas: 3 })
    t.equal(status.currentRevision, status.updateRevision)
    const pods = await items(`${PODS}?labelSelector=app=db`)
    t.strictSame(
      pods.map(({ metadata }) => metadata.name),
      ['db-0', 'db-1', 'db-2'],
    )
    t.ok(Number(pods[0].metadata.resourceVersion) < Number(pods[2].metadata.resourceVersion))
    t.match(pods[1], {
      metadata: {
        labels: {
          'statefulset.kubernetes.io/pod-name': 'db-1',
          'apps.kubernetes.io/pod-index': '1',
          'controller-revision-hash': status.updateRevision,
        },
        ownerReferences: [{ kind: 'StatefulSet', name: 'db', controller: true }],
      },
      spec: { hostname: 'db-1', subdomain: 'db' },
    })
    t.ok(
      pods[1].spec.volumes.some(
        (volume: { persistentVolumeClaim?: { claimName: string } }) =>
          volume.persistentVolumeClaim?.claimName === 'data-db-1',
      ),
    )
    t.strictSame(
      (await items(CLAIMS)).map(({ metadata }) => metadata.name),
      ['data-db-0', 'data-db-1', 'data-db-2'],
    )
  })

  t.test('are scaled from the end, and keep their claims', async t => {
    await patch('db', { spec: { replicas: 1 } })
    await settled('db', ({ replicas }) => replicas === 1)
    t.strictSame(
      (await podsOf('db')).map(({ name }) => name),
      ['db-0'],
    )
    t.equal((await items(CLAIMS)).length, 3)
    await patch('db', { spec: { replicas: 3 } })
    await settled('db', ({ availableReplicas }) => availableReplicas === 3)
  })

  t.test('roll from the end, as far as the partition', async t => {
    const strategy = { type: 'RollingUpdate', rollingUpdate: { partition: 2 } }
    await patch('db', { spec: { updateStrategy: strategy } })
    await patch('db', image('db:2'))
    const partly = await settled(
      'db',
      ({ updatedReplicas, availableReplicas }) => updatedReplicas === 1 && availableReplicas === 3,
    )
    t.not(partly.currentRevision, partly.updateRevision)
    t.strictSame(
      (await podsOf('db')).map(each => each.image),
      ['db:1', 'db:1', 'db:2'],
    )
    const { uid } = (await ask(`${PODS}/db-0`)).body.metadata
    await ask(`${PODS}/db-0`, { method: 'DELETE' })
    const again = await eventually(async () => {
      const { status, body } = await ask(`${PODS}/db-0`)
      return status === 200 && body.metadata.uid !== uid && body
    }, 'the lost one is back')
    t.equal(again.spec.containers[0].image, 'db:1', 'with what it had')
    await patch('db', { spec: { updateStrategy: { rollingUpdate: { partition: 0 } } } })
    const whole = await settled(
      'db',
      ({ updatedReplicas, availableReplicas }) => updatedReplicas === 3 && availableReplicas === 3,
    )
    t.equal(whole.currentRevision, whole.updateRevision)
    t.strictSame(
      (await podsOf('db')).map(each => each.image),
      ['db:2', 'db:2', 'db:2'],
    )
  })

  t.test('their templates are kept as revisions', async t => {
    const revisions = (await items(REVISIONS)).filter(({ metadata }) => metadata.labels.app === 'db')
    t.strictSame(revisions.map(({ revision }) => revision).toSorted(), [1, 2])
    const first = revisions.find(({ revision }) => revision === 1)
    t.match(first.data, {
      spec: { template: { $patch: 'replace', spec: { containers: [{ image: 'db:1' }] } } },
    })
    await ask(`${SETS}/db`, {
      method: 'PATCH',
      body: first.data,
      headers: { 'content-type': 'application/strategic-merge-patch+json' },
    })
    await settled(
      'db',
      ({ updateRevision, updatedReplicas }) =>
        updateRevision === first.metadata.name && updatedReplicas === 3,
    )
    const after = await items(REVISIONS)
    t.strictSame(
      after.map(({ revision }) => revision).toSorted(),
      [2, 3],
      'an old template that comes back is the newest',
    )
  })

  t.test('on delete, when somebody deletes', async t => {
    await patch('db', { spec: { updateStrategy: { type: 'OnDelete', rollingUpdate: null } } })
    await patch('db', image('db:3'))
    await settled('db', ({ updatedReplicas = 0 }) => updatedReplicas === 0)
    await ask(`${PODS}/db-1`, { method: 'DELETE' })
    await settled(
      'db',
      ({ updatedReplicas, availableReplicas }) => updatedReplicas === 1 && availableReplicas === 3,
    )
    t.strictSame(
      (await podsOf('db')).map(each => each.image),
      ['db:1', 'db:3', 'db:1'],
    )
  })

  t.test('in parallel, and with claims that go', async t => {
    const body = stateful('cache', 'bad', {
      podManagementPolicy: 'Parallel',
      volumeClaimTemplates: [claim],
      persistentVolumeClaimRetentionPolicy: { whenScaled: 'Delete', whenDeleted: 'Delete' },
    })
    await ask(SETS, { method: 'POST', body })
    await settled('cache', ({ replicas }) => replicas === 3)
    t.equal((await podsOf('cache')).length, 3, 'none waits for another')
    await patch('cache', { spec: { replicas: 1 } })
    await settled('cache', ({ replicas }) => replicas === 1)
    const claims = async () =>
      (await items(CLAIMS)).map(({ metadata }) => metadata.name).filter(name => name.includes('cache'))
    await eventually(async () => (await claims()).join() === 'data-cache-0', 'two claims are gone')
    await ask(`${SETS}/cache`, { method: 'DELETE', body: { propagationPolicy: 'Background' } })
    await eventually(async () => (await claims()).length === 0, 'the last one is gone')
  })
})

t.test('what becomes of pods', async t => {
  const set = (spec: object = {}) =>
    ({
      metadata: { name: 's', generation: 1 },
      spec: {
        replicas: 3,
        updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
        ...spec,
      },
    }) as unknown as Frozen<StatefulSet>
  const owned = (ordinal: number, more: Partial<OwnedPod> = {}) =>
    ({
      name: `s-${ordinal}`,
      labels: { 'controller-revision-hash': 'new' },
      phase: 'Running',
      readySince: 0,
      deleting: false,
      ...more,
    }) as OwnedPod
  const old = { labels: { 'controller-revision-hash': 'old' } }
  const waiting = { readySince: undefined }
  const plan = (object: Frozen<StatefulSet>, ...pods: OwnedPod[]) => {
    const { create, remove } = planStatefulSet(object, pods, { current: 'old', update: 'new' }, 1_000)
    return { create: create.map(({ ordinal }) => ordinal), remove: remove.map(({ name }) => name) }
  }
  t.strictSame(plan(set()), { create: [0], remove: [] })
  t.strictSame(plan(set(), owned(0, waiting)), { create: [], remove: [] }, 'the next waits')
  t.strictSame(plan(set(), owned(0)), { create: [1], remove: [] })
  t.strictSame(plan(set(), owned(0), owned(2)), { create: [1], remove: [] }, 'a gap is filled')
  t.strictSame(plan(set({ podManagementPolicy: 'Parallel' }), owned(1)), { create: [0, 2], remove: [] })
  t.strictSame(plan(set(), owned(0, { phase: 'Failed' })), { create: [], remove: ['s-0'] })
  t.strictSame(plan(set({ replicas: 1 }), owned(0), owned(1), owned(2)), { create: [], remove: ['s-2'] })
  t.strictSame(plan(set({ replicas: 1 }), owned(0), owned(1), owned(2, { deleting: true })), {
    create: [],
    remove: [],
  })
  t.strictSame(plan(set(), owned(0, old), owned(1, old), owned(2, old)), { create: [], remove: ['s-2'] })
  t.strictSame(plan(set(), owned(0, old), owned(1, old), owned(2, waiting)), { create: [], remove: [] })
  t.strictSame(plan(set(), owned(0, old), owned(1, old), owned(2)), { create: [], remove: ['s-1'] })
  const two = { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 2 } } }
  t.strictSame(plan(set(two), owned(0, old), owned(1, old), owned(2, old)), {
    create: [],
    remove: ['s-2', 's-1'],
  })
  t.strictSame(plan(set({ ordinals: { start: 5 }, replicas: 1 })), { create: [5], remove: [] })
})
