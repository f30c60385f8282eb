/** The verbs of the store, and every way in which they refuse. */
import t from 'tap'
import { openStore, parseSpaceId, type Space } from '../../../../server/store/index.ts'
import {
  C1,
  pod,
  revisionInside,
  silentLog,
  temporarySpace,
  temporaryStore,
  withRevision,
} from './temporary-store.ts'

t.test('an object has the revision that wrote it, inside and outside', async t => {
  const { space } = await temporarySpace(t)
  const created = await space.create(pod('a'), withRevision('one'))
  t.match(created, { key: pod('a'), revision: 1, createdRevision: 1 })
  t.equal(revisionInside(created), 1)
  const updated = await space.update(pod('a'), withRevision('two'))
  t.match(updated, { revision: 2, createdRevision: 1 })
  t.equal(space.get(pod('a')), updated)
  const deleted = await space.delete(pod('a'))
  t.same(deleted, { revision: 3, previous: updated })
  t.equal(space.get(pod('a')), undefined)
  const again = await space.create(pod('a'), withRevision('three'))
  t.match(again, { revision: 4, createdRevision: 4 })
})

t.test('a write is invisible until it is on disk', async t => {
  const { space } = await temporarySpace(t)
  const write = space.create(pod('a'), withRevision())
  t.equal(space.get(pod('a')), undefined)
  t.equal(space.revision, 0)
  t.equal(space.count('pods'), 0)
  await write
  t.equal(space.revision, 1)
  t.equal(space.count('pods'), 1)
})

t.test('the encoder sees the current version, pending ones included', async t => {
  const { space } = await temporarySpace(t)
  const seen: (string | undefined)[] = []
  const encode = (text: string) => (_revision: number, current: { json: string } | undefined) => {
    seen.push(current?.json)
    return text
  }
  await Promise.all([
    space.create(pod('a'), encode('1')),
    space.update(pod('a'), encode('2')),
    space.update(pod('a'), encode('3'), { revision: 2 }),
  ])
  t.same(seen, [undefined, '1', '2'])
  t.equal(space.get(pod('a'))?.json, '3')
})

t.test('refusals', async t => {
  const { space } = await temporarySpace(t)
  await t.rejects(space.update(pod('a'), withRevision()), { code: 'NotFound', status: 404 })
  await t.rejects(space.delete(pod('a')), { code: 'NotFound', object: 'pods default/a' })
  await space.create(pod('a'), withRevision())
  await t.rejects(space.create(pod('a'), withRevision()), { code: 'AlreadyExists', status: 409 })
  await t.rejects(space.update(pod('a'), withRevision(), { revision: 7 }), { code: 'Conflict', status: 409 })
  await t.rejects(space.delete(pod('a'), { revision: 7 }), { code: 'Conflict' })
  t.equal(space.revision, 1, 'a refused write consumes no revision')
})

t.test('an encoder that throws refuses the write', async t => {
  const { space } = await temporarySpace(t)
  const mistake = new Error('not valid')
  const throwing = () => {
    throw mistake
  }
  await t.rejects(space.create(pod('a'), throwing), mistake)
  await space.create(pod('a'), withRevision())
  await t.rejects(space.update(pod('a'), throwing), mistake)
  t.equal(space.revision, 1)
})

t.test('a refusal because of a pending write waits for it', async t => {
  const { space } = await temporarySpace(t)
  const first = space.create(pod('a'), withRevision())
  const second = space.create(pod('a'), withRevision())
  let refusedAt: number | undefined
  await Promise.all([
    first,
    second.catch(() => {
      refusedAt = space.revision
    }),
  ])
  t.equal(refusedAt, 1, 'whoever is refused can read why')
})

t.test('an encoder cannot write', async t => {
  const { space } = await temporarySpace(t)
  let nested: Promise<unknown> = Promise.resolve()
  await space.create(pod('a'), () => {
    nested = space.create(pod('b'), withRevision())
    nested.catch(() => undefined)
    return '{}'
  })
  await t.rejects(nested, { code: 'NestedWrite' })
  t.equal(space.revision, 1)
})

t.test('keys and objects are bounded', async t => {
  const { space } = await temporarySpace(t, { limits: { objectBytes: 100 } })
  const create = (kind: string, namespace: string, name: string) =>
    space.create({ kind, namespace, name }, () => '{}')
  await t.rejects(create('', '', 'a'), { code: 'InvalidKey', status: 422, field: 'kind' })
  await t.rejects(create('po ds', '', 'a'), { code: 'InvalidKey', field: 'kind' })
  await t.rejects(create('pods', 'a\nb', 'a'), { code: 'InvalidKey', field: 'namespace' })
  await t.rejects(create('pods', '', ''), { code: 'InvalidKey', field: 'name' })
  await t.rejects(create('pods', '', 'a\0'), { code: 'InvalidKey', field: 'name' })
  await t.rejects(create('pods', '', '\ud800'), { code: 'InvalidKey', field: 'name' })
  await t.rejects(create('pods', '', 'x'.repeat(513)), { code: 'InvalidKey', field: 'name' })
  await create('apps/deployments', 'ns', 'system:node:é')
  await t.rejects(
    space.create(pod('a'), () => 'é'.repeat(51)),
    { code: 'ObjectTooLarge', status: 413 },
  )
  await space.create(pod('a'), () => 'é'.repeat(50))
  t.equal(space.revision, 2)
})

t.test('lists are in order of namespace, then name', async t => {
  const { space } = await temporarySpace(t)
  const names = ['b', 'a', 'Z', 'ab', 'é', 'a-b', '10', '9']
  for (const namespace of ['y', '', 'x']) {
    await Promise.all(names.map(name => space.create(pod(name, namespace), withRevision())))
  }
  await space.create({ kind: 'nodes', namespace: '', name: 'n' }, withRevision())
  const listed = (namespace?: string) =>
    space.list('pods', namespace).objects.map(({ key }) => `${key.namespace}/${key.name}`)
  const sorted = names.toSorted((a, b) => (a < b ? -1 : 1))
  t.same(
    listed('x'),
    sorted.map(name => `x/${name}`),
  )
  t.same(
    listed(),
    ['', 'x', 'y'].flatMap(namespace => sorted.map(name => `${namespace}/${name}`)),
  )
  t.equal(space.list('pods').revision, 25)
  t.equal(space.count('pods'), 24)
  t.same(space.list('pods', 'nowhere').objects, [])
  t.same(space.list('nothing').objects, [])
  t.equal(space.count('nothing'), 0)
  await space.delete(pod('b', 'x'))
  await space.create(pod('c', 'x'), withRevision())
  await space.update(pod('a', 'x'), withRevision('new'))
  t.same(
    listed('x'),
    [...sorted.filter(name => name !== 'b'), 'c']
      .toSorted((a, b) => (a < b ? -1 : 1))
      .map(name => `x/${name}`),
  )
  t.match(space.list('pods', 'x').objects.find(({ key }) => key.name === 'a')?.json, /new/)
})

t.test('a list that was handed out does not change', async t => {
  const { space } = await temporarySpace(t)
  await space.create(pod('a'), withRevision())
  const before = space.list('pods', 'default')
  await space.create(pod('b'), withRevision())
  await space.update(pod('a'), withRevision())
  t.equal(before.objects.length, 1)
  t.equal(before.objects[0]?.revision, 1)
})

t.test('spaces are made, opened, deleted, and know nothing of each other', async t => {
  const { store } = await temporaryStore(t)
  const c2 = parseSpaceId('c2')
  const one = await store.createSpace(C1)
  const two = await store.createSpace(c2)
  await t.rejects(store.createSpace(C1), { code: 'AlreadyExists', object: 'space c1' })
  await one.create(pod('a'), withRevision())
  t.equal(two.revision, 0)
  t.equal(two.get(pod('a')), undefined)
  t.same(store.spaces(), ['c1', 'c2'])
  t.equal(await store.openSpace(C1), one)
  await store.deleteSpace(C1)
  t.same(store.spaces(), ['c2'])
  await t.rejects(one.create(pod('b'), withRevision()), { code: 'NotFound', object: 'space c1' })
  await t.rejects(store.openSpace(C1), { code: 'NotFound' })
  await t.rejects(store.deleteSpace(C1), { code: 'NotFound' })
  const anew = await store.createSpace(C1)
  t.equal(anew.revision, 0)
  t.equal(anew.get(pod('a')), undefined)
})

t.test('deleting a space while it is written to', async t => {
  const { store, space } = await temporarySpace(t)
  const write = space.create(pod('a'), withRevision())
  const deleted = store.deleteSpace(C1)
  const late = space.create(pod('b'), withRevision())
  await Promise.allSettled([write, late])
  await deleted
  t.same(store.spaces(), [])
  await t.rejects(space.create(pod('c'), withRevision()), { code: 'NotFound' })
})

t.test('space ids', async t => {
  for (const id of ['', 'a/b', 'a b', 'ä', 'x'.repeat(64)]) {
    t.throws(() => parseSpaceId(id), { code: 'InvalidKey', status: 422 })
  }
  t.equal(parseSpaceId('c-1'), 'c-1')
})

t.test('after a restart everything is as it was', async t => {
  const { store, file, space } = await temporarySpace(t)
  await space.create(pod('a'), withRevision('ünïcode \u2028 "\\'))
  await space.create(pod('b', ''), withRevision())
  await space.update(pod('a'), withRevision('two'))
  await space.delete(pod('b', ''))
  await space.create(pod('c'), withRevision())
  await store.createSpace(parseSpaceId('empty'))
  await store.stop()
  const { store: reopened } = await temporaryStore(t, { database: file })
  t.same(reopened.spaces(), ['c1', 'empty'])
  const again = await reopened.openSpace(C1)
  t.equal(again.revision, 5)
  t.same(again.list('pods'), space.list('pods'))
  const next = await again.create(pod('d'), withRevision())
  t.equal(next.revision, 6)
})

t.test('opening a space twice at the same time loads it once', async t => {
  const { store, file } = await temporarySpace(t)
  await store.stop()
  const { store: reopened } = await temporaryStore(t, { database: file })
  const [one, two] = await Promise.all([reopened.openSpace(C1), reopened.openSpace(C1)])
  t.equal(one, two)
})

t.test('a space that is released is on disk, and comes back as it was', async t => {
  const { store, space } = await temporarySpace(t)
  const watch = space.watch({ after: 0 })
  const writes = ['a', 'b', 'c'].map(name => space.create(pod(name), withRevision(name)))
  await store.releaseSpace(C1)
  t.equal((await Promise.all(writes)).length, 3, 'what was accepted is kept')
  await t.rejects(space.create(pod('late'), withRevision()), { code: 'Stopped' })
  let seen = 0
  for await (const events of watch) seen += events.length
  t.ok(seen <= 3, 'the watch ends')
  await store.releaseSpace(C1)
  const again = await store.openSpace(C1)
  t.not(again, space)
  t.strictSame(
    again.list('pods').objects,
    (await Promise.all(writes)).toSorted((x, y) => x.revision - y.revision),
  )
  t.equal((await again.create(pod('d'), withRevision())).revision, 4)
  await store.releaseSpace(parseSpaceId('never-there'))
})

t.test('stop finishes what was accepted and refuses the rest', async t => {
  const { store, file, space } = await temporarySpace(t)
  const accepted = Array.from({ length: 50 }, (_, index) => space.create(pod(`p${index}`), withRevision()))
  const stopped = store.stop()
  const refused = await Promise.allSettled<unknown>([
    space.create(pod('late'), withRevision()),
    store.createSpace(parseSpaceId('late')),
    store.openSpace(C1),
    store.deleteSpace(C1),
  ])
  for (const result of refused) t.match(result, { reason: { code: 'Stopped', status: 503 } })
  await Promise.all(accepted)
  await stopped
  await store.stop()
  const { store: reopened } = await temporaryStore(t, { database: file })
  t.equal((await reopened.openSpace(C1)).count('pods'), 50)
})

t.test('too many writes at the same time are refused, not queued without bound', async t => {
  const { space } = await temporarySpace(t, { limits: { pendingWrites: 10 } })
  const writes = Array.from({ length: 15 }, (_, index) => space.create(pod(`p${index}`), withRevision()))
  const results = await Promise.allSettled(writes)
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 10)
  t.match(results[12], { reason: { code: 'TooManyWrites', status: 429 } })
  await space.create(pod('later'), withRevision())
  t.equal(space.revision, 11)
})

t.test('bytes of waiting writes are bounded as well', async t => {
  const { space } = await temporarySpace(t, { limits: { pendingBytes: 1_000, batchBytes: 300 } })
  const text = 'x'.repeat(200)
  const results = await Promise.allSettled(
    Array.from({ length: 15 }, (_, index) => space.create(pod(`p${index}`), () => text)),
  )
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 5)
  t.equal(space.revision, 5, 'in several transactions of at most 300 bytes')
})

t.test('two stores on one file: the one that opened a space last writes it', async t => {
  const { store: older, file, space: old } = await temporarySpace(t)
  await old.create(pod('a'), withRevision())
  const { store: newer } = await temporaryStore(t, { database: file })
  const space: Space = await newer.openSpace(C1)
  t.equal(space.revision, 1)
  const watch = old.watch({ after: 1 })
  await space.create(pod('b'), withRevision())
  await t.rejects(old.create(pod('c'), withRevision()), { code: 'WriteFailed', status: 503 })
  await t.rejects(old.create(pod('c'), withRevision()), { code: 'WriteFailed', mend: 'open it again' })
  await t.rejects(watch[Symbol.asyncIterator]().next(), { code: 'WriteFailed' })
  t.throws(() => old.watch({ after: 1 }), { code: 'WriteFailed' })
  await t.rejects(old.compact(1), { code: 'WriteFailed' })
  t.equal(space.get(pod('c')), undefined)
  const back = await older.openSpace(C1)
  t.not(back, old)
  t.equal(back.revision, 2)
  await back.create(pod('d'), withRevision())
  await t.rejects(space.create(pod('e'), withRevision()), { code: 'WriteFailed' })
})

t.test('a directory that does not exist is an error with a name', async t => {
  const opening = openStore({ database: '/nowhere/at/all/store.db', log: silentLog })
  await t.rejects(opening, { code: 'DatabaseRefused', object: '/nowhere/at/all/store.db' })
})
