/** Claims get volumes, and keep them. */
import t from 'tap'
import {
  type Frozen,
  NODES,
  type PersistentVolume,
  type PersistentVolumeClaim,
  type StorageClass,
} from '../../../../server/master/apiserver/index.ts'
import { phaseOf, planClaim } from '../../../../server/master/controllers/volume-plan.ts'
import { SELECTED_NODE } from '../../../../server/master/scheduler/index.ts'
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
  spec: {
    accessModes: ['ReadWriteOnce'],
    storageClassName: '',
    resources: { requests: { storage } },
    ...spec,
  },
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

t.test('directories of hosts', async t => {
  const { ask, client } = await temporaryMaster(t)
  const post = (place: string, body: object) => ask(place, { method: 'POST', body })
  const nodes = ['h1', 'h2'].map(name => ({
    metadata: { name, labels: { 'kubernetes.io/hostname': name } },
    status: {
      allocatable: { cpu: '4', memory: '8Gi', pods: '110' },
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  }))
  for (const node of nodes) t.equal((await post('/api/v1/nodes', node)).status, 201)
  const asNode = (name: string, place: string, method = 'GET') =>
    ask(place, { token: `node|${name}|c1`, method })
  const wish = (name: string, more: object = {}) =>
    claim(name, '1Gi', { storageClassName: undefined, ...more })
  const user = (name: string, ...claims: string[]) =>
    pod(name, {
      volumes: claims.map(each => ({ name: each, persistentVolumeClaim: { claimName: each } })),
      nodeSelector: { 'kubernetes.io/hostname': 'h2' },
    })
  const events = async (reason: string) =>
    (await ask('/api/v1/namespaces/default/events')).body.items.filter(
      (event: { reason: string }) => event.reason === reason,
    )

  const phase = (place: string, wanted: string) =>
    eventually(async () => (await ask(place)).body.status?.phase === wanted, `${place} is ${wanted}`)

  t.test('are made where the pod goes, for all of its claims', async t => {
    await post(CLAIMS, wish('one'))
    await post(CLAIMS, wish('two'))
    t.equal((await ask(`${CLAIMS}/one`)).body.spec.storageClassName, 'drover-local')
    await eventually(async () => (await events('WaitForFirstConsumer')).length === 2, 'they wait')
    await post(PODS, user('p', 'one', 'two'))
    const placed = await eventually(async () => {
      const { body } = await ask(`${PODS}/p`)
      return body.spec.nodeName !== undefined && body
    }, 'it has a node')
    t.equal(placed.spec.nodeName, 'h2')
    for (const name of ['one', 'two']) {
      const { metadata, spec, status } = (await ask(`${CLAIMS}/${name}`)).body
      t.equal(status.phase, 'Bound')
      t.equal(spec.volumeName, `pvc-${metadata.uid}`)
      t.match((await ask(`${VOLUMES}/${spec.volumeName}`)).body, {
        metadata: { labels: { 'drover.io/host': 'h2' } },
        spec: {
          capacity: { storage: '1Gi' },
          persistentVolumeReclaimPolicy: 'Delete',
          hostPath: { path: `/var/lib/drover/volumes/${spec.volumeName}`, type: 'Directory' },
        },
      })
    }
  })

  t.test('are shown to their host alone, which removes those that nobody claims', async t => {
    const place = `${VOLUMES}?labelSelector=drover.io%2Fhost%3Dh2`
    const { body } = await asNode('h2', place)
    t.equal(body.items.length, 2)
    t.equal((await asNode('h1', place)).status, 403)
    t.equal((await asNode('h1', VOLUMES)).status, 403)
    const [{ metadata }] = body.items
    t.equal((await asNode('h1', `${VOLUMES}/${metadata.name}`, 'DELETE')).status, 403)
    await ask(`${PODS}/p`, { method: 'DELETE', body: { gracePeriodSeconds: 0 } })
    await ask(`${CLAIMS}/one`, { method: 'DELETE' })
    await ask(`${CLAIMS}/two`, { method: 'DELETE' })
    await phase(`${VOLUMES}/${metadata.name}`, 'Released')
    t.equal((await asNode('h2', `${VOLUMES}/${metadata.name}`, 'DELETE')).status, 200)
    await post(VOLUMES, volume('foreign', '1Gi', {}))
    t.equal((await asNode('h2', `${VOLUMES}/foreign`, 'DELETE')).status, 403)
  })

  t.test('what they cannot be is said', async t => {
    await post('/apis/storage.k8s.io/v1/storageclasses', {
      metadata: { name: 'wrong' },
      provisioner: 'drover.io/local',
      volumeBindingMode: 'WaitForFirstConsumer',
      parameters: { directory: 'relative' },
    })
    await post(CLAIMS, wish('many', { accessModes: ['ReadWriteMany'] }))
    await post(CLAIMS, wish('block', { volumeMode: 'Block' }))
    await post(CLAIMS, wish('misled', { storageClassName: 'wrong' }))
    await post(PODS, user('q', 'many', 'block', 'misled'))
    const said = await eventually(async () => {
      const found = await events('ProvisioningFailed')
      return found.length === 3 && found.map(({ message }: { message: string }) => message).sort()
    }, 'all of them are refused')
    t.match(said, [/^a directory of a host is no block device/, /^access mode ReadWriteMany/, /"relative"/])
    t.equal((await ask(`${PODS}/q`)).body.spec.nodeName, undefined)
  })

  t.test('another node is chosen when the chosen one is gone', async () => {
    await client.delete(NODES, { namespace: '', name: 'h2' })
    await post(CLAIMS, {
      ...wish('moved'),
      metadata: { name: 'moved', annotations: { [SELECTED_NODE]: 'h2' } },
    })
    await post(PODS, pod('r', { volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'moved' } }] }))
    await eventually(
      async () => (await ask(`${CLAIMS}/moved`)).body.metadata.annotations[SELECTED_NODE] === 'h1',
      'it is told the other one',
    )
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
