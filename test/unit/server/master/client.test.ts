/** The client inside the process: the same rights and rules as over HTTP. */
import t from 'tap'
import {
  COMPONENT_GROUPS,
  NAMESPACES,
  type Namespace,
  PODS,
  SERVICES,
} from '../../../../server/master/index.ts'
import { ADMIN, eventually, temporaryMaster } from './temporary-master.ts'

const namespace = (name: string) => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name },
  spec: {},
  status: {},
})

t.test('verbs', async t => {
  const { client, master } = await temporaryMaster(t)
  t.equal(await master.client('absent', ADMIN), undefined)
  const made = await client.create(NAMESPACES, namespace('a'))
  t.equal(made.status.phase, 'Active')
  await t.rejects(client.create(NAMESPACES, namespace('a')), { code: 'AlreadyExists' })
  t.equal((await client.get(NAMESPACES, { namespace: '', name: 'a' }))?.metadata.uid, made.metadata.uid)
  t.equal(await client.get(NAMESPACES, { namespace: '', name: 'b' }), undefined)
  t.same(
    (await client.list(SERVICES)).map(({ metadata }) => metadata.name),
    ['kubernetes'],
  )
  t.same(await client.list(SERVICES, 'kube-system'), [])
  const body = { metadata: { labels: { x: 'y' } } }
  const patched = await client.patch(NAMESPACES, { namespace: '', name: 'a' }, { type: 'merge', body })
  t.equal(patched.metadata.labels?.x, 'y')
  await client.delete(NAMESPACES, { namespace: '', name: 'a' })
  await eventually(
    async () => (await client.get(NAMESPACES, { namespace: '', name: 'a' })) === undefined,
    'it is gone',
  )
})

t.test('observers see everything once, then every change', async t => {
  const { client } = await temporaryMaster(t)
  const seen: string[] = []
  const name = ({ metadata }: { readonly metadata: Namespace['metadata'] | { readonly name: string } }) =>
    metadata.name
  const stop = await client.observe(NAMESPACES, {
    sync: objects => seen.push(...objects.map(object => `is ${name(object)}`)),
    changed: (object, previous) => seen.push(`${previous === undefined ? 'new' : 'changed'} ${name(object)}`),
    removed: object => seen.push(`gone ${name(object)}`),
  })
  await client.create(NAMESPACES, namespace('z'))
  await eventually(async () => seen.includes('new z'), 'the new one is seen')
  t.same(seen.slice(0, 5), ['is default', 'is kube-node-lease', 'is kube-public', 'is kube-system', 'new z'])
  await client.delete(NAMESPACES, { namespace: '', name: 'z' })
  await eventually(async () => seen.includes('gone z'), 'its end is seen')
  stop()
  const before = seen.length
  await client.create(NAMESPACES, namespace('y'))
  t.equal(seen.length, before)
})

t.test('rights', async t => {
  const { master } = await temporaryMaster(t)
  const netes = await master.client('c1', { user: 'netes', groups: [COMPONENT_GROUPS.netes] })
  if (netes === undefined) throw new Error('the cluster is not there')
  t.same(await netes.list(PODS), [])
  await t.rejects(netes.list(SERVICES), { code: 'Forbidden' })
  const observer = { sync: () => undefined, changed: () => undefined, removed: () => undefined }
  await t.rejects(netes.observe(SERVICES, observer), { code: 'Forbidden' })
})
