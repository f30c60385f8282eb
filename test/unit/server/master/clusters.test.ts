/** The life cycle of clusters. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { openStore, parseSpaceId } from '../../../../server/store/index.ts'
import { eventually, pod, silentLog, temporaryMaster } from './temporary-master.ts'

const MAPS = '/api/v1/namespaces/default/configmaps'

async function directory(t: Tap): Promise<string> {
  const made = await mkdtemp(path.join(tmpdir(), 'clusters-'))
  t.teardown(() => rm(made, { recursive: true, force: true }))
  return made
}

type Tap = Parameters<typeof temporaryMaster>[0]

t.test('a new cluster is usable, and has its default objects', async t => {
  const { ask, master } = await temporaryMaster(t)
  const names = (items: { metadata: { name: string } }[]) => items.map(item => item.metadata.name)
  t.same(names((await ask('/api/v1/namespaces')).body.items), [
    'default',
    'kube-node-lease',
    'kube-public',
    'kube-system',
  ])
  t.same(names((await ask('/api/v1/services')).body.items), ['kubernetes'])
  t.equal((await ask('/api/v1/serviceaccounts')).body.items.length, 4)
  const { resourceVersion } = (await ask(MAPS)).body.metadata
  await master.createCluster('c1')
  t.equal((await ask(MAPS)).body.metadata.resourceVersion, resourceVersion, 'making it again changes nothing')
})

t.test('names', async t => {
  const { master } = await temporaryMaster(t)
  await t.rejects(master.createCluster('system'), { code: 'ReservedName' })
  await t.rejects(master.createCluster('a/b'), { code: 'InvalidKey' })
  await t.rejects(master.createCluster(''), { code: 'InvalidKey' })
  await t.rejects(master.deleteCluster('system'), { code: 'ReservedName' })
  await t.rejects(master.deleteCluster('absent'), { code: 'NotFound' })
})

t.test('clusters know nothing of each other', async t => {
  const { ask, master } = await temporaryMaster(t)
  await master.createCluster('c2')
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm' } }
  const first = await ask(MAPS, { method: 'POST', body })
  const second = { token: 'admin|c2', cluster: 'c2' }
  t.equal((await ask(`${MAPS}/m`, second)).status, 404)
  t.equal((await ask(MAPS, { ...second, method: 'POST', body })).status, 201)
  t.not((await ask(`${MAPS}/m`, second)).body.metadata.uid, first.body.metadata.uid)
  await master.deleteCluster('c2')
  t.equal((await ask(`${MAPS}/m`, second)).status, 404)
  t.equal((await ask(`${MAPS}/m`)).status, 200)
  await master.createCluster('c2')
  t.equal((await ask(`${MAPS}/m`, second)).status, 404, 'a new cluster of an old name is empty')
})

t.test('a restart keeps everything', async t => {
  const place = await directory(t)
  const before = await temporaryMaster(t, { directory: place })
  await before.ask('/api/v1/namespaces/default/pods', { method: 'POST', body: pod('p') })
  const { body } = await before.ask(MAPS, {
    method: 'POST',
    body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm' } },
  })
  const service = (
    await before.ask('/api/v1/namespaces/default/services', {
      method: 'POST',
      body: { apiVersion: 'v1', kind: 'Service', metadata: { name: 's' }, spec: { ports: [{ port: 80 }] } },
    })
  ).body
  await before.stop()
  const after = await temporaryMaster(t, { directory: place })
  t.same((await after.ask(`${MAPS}/m`)).body, body)
  const again = await after.ask('/api/v1/namespaces/default/services', {
    method: 'POST',
    body: { ...service, metadata: { name: 't' } },
  })
  t.match(
    again,
    { status: 422, body: { message: /already allocated/ } },
    'addresses that are taken stay taken',
  )
})

t.test('a cluster that was left half made is completed', async t => {
  const place = await directory(t)
  const store = await openStore({ database: path.join(place, 'store.db'), log: silentLog })
  await store.createSpace(parseSpaceId('half'))
  await store.stop()
  const { ask } = await temporaryMaster(t, { directory: place })
  const list = await ask('/api/v1/namespaces', { token: 'admin|half', cluster: 'half' })
  t.equal(list.body.items.length, 4)
})

t.test('a master that is stopped says so', async t => {
  const { master, ask } = await temporaryMaster(t)
  await master.stop()
  await t.rejects(master.createCluster('c9'), { code: 'Stopping' })
  t.match(await ask('/api'), { status: 503, body: { kind: 'Status', reason: 'ServiceUnavailable' } })
})

t.test('a cluster that another process took is opened again', async t => {
  const place = await directory(t)
  const { ask } = await temporaryMaster(t, { directory: place })
  const body = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } })
  t.equal((await ask(MAPS, { method: 'POST', body: body('before') })).status, 201)
  const other = await openStore({ database: path.join(place, 'store.db'), log: silentLog })
  await other.openSpace(parseSpaceId('c1'))
  const refused = await ask(MAPS, { method: 'POST', body: body('fenced') })
  t.match(refused, { status: 503, body: { reason: 'ServiceUnavailable' } })
  await other.stop()
  await eventually(
    async () => (await ask(MAPS, { method: 'POST', body: body('after') })).status === 201,
    'it can be written again',
  )
  t.equal((await ask(`${MAPS}/before`)).status, 200)
})

t.test('many clusters come and go', async t => {
  const { master, ask } = await temporaryMaster(t)
  const ids = Array.from({ length: 30 }, (_, index) => `many-${index}`)
  await Promise.all(ids.map(id => master.createCluster(id)))
  for (const id of ids.slice(0, 3)) {
    t.equal((await ask('/api/v1/namespaces', { token: `admin|${id}`, cluster: id })).body.items.length, 4)
  }
  await Promise.all(ids.map(id => master.deleteCluster(id)))
  t.equal((await ask('/api', { token: 'admin|many-0', cluster: 'many-0' })).status, 404)
})

t.test('a cluster holds no more than it may, and goes on after something was deleted', async t => {
  const { ask } = await temporaryMaster(t, { limits: { objects: 80, length: 200_000 } })
  const maps = '/api/v1/namespaces/default/configmaps'
  const create = (name: string, text: string) =>
    ask(maps, { method: 'POST', body: { metadata: { name }, data: { text } } })
  let made = 0
  let last = await create('m0', 'x')
  while (last.status === 201 && made < 80) {
    made += 1
    last = await create(`m${made}`, 'x')
  }
  t.match(last, { status: 403, body: { message: /holds 80 objects already, as many as it may/ } })
  await ask(`${maps}/m0`, { method: 'DELETE' })
  t.equal((await create('again', 'x')).status, 201)
  await ask(`${maps}/m1`, { method: 'DELETE' })
  t.match(await create('large', 'x'.repeat(200_000)), { status: 403, body: { message: /delete some first/ } })
  const headers = { 'content-type': 'application/merge-patch+json' }
  const grow = { data: { text: 'x'.repeat(200_000) } }
  t.equal((await ask(`${maps}/again`, { method: 'PATCH', headers, body: grow })).status, 403)
  t.equal(
    (await ask(`${maps}/again`, { method: 'PATCH', headers, body: { data: { text: 'y' } } })).status,
    200,
  )
})
