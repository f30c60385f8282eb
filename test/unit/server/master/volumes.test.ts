/** Claims get volumes, and keep them. */
import t from 'tap'
import type {
  Frozen,
  PersistentVolume,
  PersistentVolumeClaim,
  StorageClass,
} from '../../../../server/master/apiserver/index.ts'
import { phaseOf, planClaim } from '../../../../server/master/controllers/volume-plan.ts'
import { eventually, pod, temporaryMaster } from './temporary-master.ts'

const VOLUMES = '/api/v1/persistentvolumes'
const CLAIMS = '/api/v1/namespaces/default/persistentvolumeclaims'
const PODS = '/api/v1/namespaces/default/pods'

const volume = (name: string, storage: string, spec: object = {}) => ({
  metadata: { name },
  spec: {
    capacity: { storage },
    accessModes: ['ReadWriteOnce'],
    persistentVolumeReclaimPolicy: 'Retain',
    hostPath: { path: `/srv/${name}` },
    ...spec,
  },
})

const claim = (name: string, storage: string, spec: object = {}) => ({
  metadata: { name },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage } }, ...spec },
})

t.test('volumes', async t => {
  const { ask } = await temporaryMaster(t)
  const post = (place: string, body: object) => ask(place, { method: 'POST', body })
  const phase = (place: string, wanted: string) =>
    eventually(async () => {
      const { body } = await ask(place)
      return body.status?.phase === wanted && body
    }, `${place} is ${wanted}`)

  t.test('the smallest that is enough', async t => {
    for (const [name, size] of [
      ['large', '10Gi'],
      ['small', '1Gi'],
      ['middle', '5Gi'],
    ] as const)
      t.equal((await post(VOLUMES, volume(name, size))).status, 201)
    await phase(`${VOLUMES}/large`, 'Available')
    await post(CLAIMS, claim('data', '2Gi'))
    const bound = await phase(`${CLAIMS}/data`, 'Bound')
    t.match(bound, {
      metadata: {
        annotations: {
          'pv.kubernetes.io/bind-completed': 'yes',
          'pv.kubernetes.io/bound-by-controller': 'yes',
        },
        finalizers: ['kubernetes.io/pvc-protection'],
      },
      spec: { volumeName: 'middle' },
      status: { capacity: { storage: '5Gi' }, accessModes: ['ReadWriteOnce'] },
    })
    const taken = await phase(`${VOLUMES}/middle`, 'Bound')
    t.match(taken, {
      metadata: { finalizers: ['kubernetes.io/pv-protection'] },
      spec: { claimRef: { namespace: 'default', name: 'data', uid: bound.metadata.uid } },
    })
  })

  t.test('one that waits for its claim, and one that is named', async t => {
    await post(VOLUMES, volume('kept', '1Gi', { claimRef: { namespace: 'default', name: 'mine' } }))
    await post(CLAIMS, claim('mine', '1Gi'))
    t.equal((await phase(`${CLAIMS}/mine`, 'Bound')).spec.volumeName, 'kept')
    await post(CLAIMS, claim('named', '1Gi', { volumeName: 'large' }))
    await phase(`${CLAIMS}/named`, 'Bound')
    await phase(`${VOLUMES}/large`, 'Bound')
  })

  t.test('one that comes later', async () => {
    await post(CLAIMS, claim('late', '20Gi'))
    await eventually(async () => {
      const { items } = (await ask('/api/v1/namespaces/default/events')).body
      return items.some(
        (event: { reason: string; involvedObject: { name: string } }) =>
          event.reason === 'FailedBinding' && event.involvedObject.name === 'late',
      )
    }, 'it says why it waits')
    await post(VOLUMES, volume('huge', '50Gi'))
    await phase(`${CLAIMS}/late`, 'Bound')
  })

  t.test('a claim in use stays, and what it had is released', async t => {
    const volumes = [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }]
    await post(PODS, pod('user', { volumes }))
    await ask(`${CLAIMS}/data`, { method: 'DELETE' })
    t.match((await ask(`${CLAIMS}/data`)).body.metadata, { deletionTimestamp: String })
    await ask(`${VOLUMES}/middle`, { method: 'DELETE' })
    t.equal((await ask(`${VOLUMES}/middle`)).status, 200, 'a volume in use stays too')
    await ask(`${PODS}/user`, { method: 'DELETE' })
    await eventually(async () => (await ask(`${CLAIMS}/data`)).status === 404, 'the claim goes')
    await eventually(async () => (await ask(`${VOLUMES}/middle`)).status === 404, 'and the volume')
    await ask(`${CLAIMS}/mine`, { method: 'DELETE' })
    await phase(`${VOLUMES}/kept`, 'Released')
    await ask(`${VOLUMES}/large`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/merge-patch+json' },
      body: { metadata: { finalizers: null } },
    })
    await eventually(
      async () => ((await ask(`${VOLUMES}/large`)).body.metadata.finalizers ?? []).length === 1,
      'it is protected again',
    )
  })

  t.test('not before a pod uses it', async () => {
    await post('/apis/storage.k8s.io/v1/storageclasses', {
      metadata: { name: 'local' },
      provisioner: 'kubernetes.io/no-provisioner',
      volumeBindingMode: 'WaitForFirstConsumer',
    })
    await post(VOLUMES, volume('disk', '1Gi', { storageClassName: 'local' }))
    await post(CLAIMS, claim('later', '1Gi', { storageClassName: 'local' }))
    await eventually(async () => {
      const { items } = (await ask('/api/v1/namespaces/default/events')).body
      return items.some((event: { reason: string }) => event.reason === 'WaitForFirstConsumer')
    }, 'it waits')
    await post(
      PODS,
      pod('consumer', { volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'later' } }] }),
    )
    await phase(`${CLAIMS}/later`, 'Bound')
  })
})

t.test('which volume', async t => {
  const made = (name: string, storage: string, spec: object = {}, more: object = {}) =>
    ({ ...volume(name, storage, spec), ...more }) as unknown as Frozen<PersistentVolume>
  const wish = (storage: string, spec: object = {}, status: object = {}) => {
    const { metadata, ...rest } = claim('c', storage, spec)
    return {
      ...rest,
      metadata: { ...metadata, namespace: 'd', uid: 'u' },
      status,
    } as unknown as Frozen<PersistentVolumeClaim>
  }
  const plan = (
    object: Frozen<PersistentVolumeClaim>,
    volumes: Frozen<PersistentVolume>[],
    storageClass?: object,
  ) => {
    const made = planClaim({
      claim: object,
      volumes,
      storageClass: storageClass as Frozen<StorageClass> | undefined,
      isUsed: false,
    })
    return made.type === 'bind' ? made.volume.metadata.name : made.type === 'wait' ? made.reason : made.type
  }
  t.equal(plan(wish('1Gi'), [made('a', '2Gi'), made('b', '1Gi')]), 'b')
  t.equal(plan(wish('1Gi'), [made('a', '2Gi', { storageClassName: 'x' })]), 'FailedBinding')
  t.equal(plan(wish('1Gi', { accessModes: ['ReadWriteMany'] }), [made('a', '2Gi')]), 'FailedBinding')
  t.equal(plan(wish('1Gi', { volumeMode: 'Block' }), [made('a', '2Gi')]), 'FailedBinding')
  t.equal(plan(wish('1Gi', { selector: { matchLabels: { a: 'b' } } }), [made('a', '2Gi')]), 'FailedBinding')
  t.equal(plan(wish('1Gi'), [made('a', '2Gi', {}, { status: { phase: 'Released' } })]), 'FailedBinding')
  t.equal(
    plan(wish('1Gi'), [made('a', '2Gi', { claimRef: { namespace: 'd', name: 'other', uid: 'x' } })]),
    'FailedBinding',
  )
  t.equal(plan(wish('1Gi', { storageClassName: 'x' }), []), 'ProvisioningFailed')
  t.equal(
    plan(wish('1Gi', { storageClassName: 'x' }), [], { provisioner: 'example.com/disk' }),
    'ExternalProvisioning',
  )
  t.equal(plan(wish('1Gi', { volumeName: 'gone' }, { phase: 'Bound' }), []), 'lost')
  const owned = (policy: string) =>
    made('a', '1Gi', {
      claimRef: { namespace: 'd', name: 'c', uid: 'old' },
      persistentVolumeReclaimPolicy: policy,
    })
  t.equal(phaseOf(owned('Retain'), undefined).phase, 'Released')
  t.equal(phaseOf(owned('Delete'), wish('1Gi')).phase, 'Failed', 'another claim of this name')
  t.equal(phaseOf(made('a', '1Gi'), undefined).phase, 'Available')
})
