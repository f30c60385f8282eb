/** Transactions that the real database refuses: nothing of them remains, and the next write goes on from there. */
import t from 'tap'
import { parseSpaceId } from '../../../../server/store/index.ts'
import {
  C1,
  pod,
  refuse,
  SERVER,
  sabotage,
  temporarySpace,
  temporaryStore,
  withRevision,
} from './temporary-store.ts'

/** Makes the file refuse objects whose name begins with `poison`, the way `raise` says. */
function poison(file: string, raise: 'ABORT' | 'ROLLBACK'): void {
  refuse(file, { trigger: 'poison', on: 'INSERT ON log', when: "NEW.name LIKE 'poison%'", raise })
}

for (const raise of SERVER === undefined ? (['ABORT', 'ROLLBACK'] as const) : (['ABORT'] as const)) {
  t.test(`a refused write leaves no trace (${raise})`, async t => {
    const { store, file, space } = await temporarySpace(t)
    await space.create(pod('a'), withRevision())
    poison(file, raise)
    const watch = space.watch({ after: 1 })
    await t.rejects(space.create(pod('poison'), withRevision()), {
      code: 'WriteFailed',
      status: 500,
      object: 'space c1',
      message: /poisoned/,
    })
    t.equal(space.revision, 1)
    t.equal(space.get(pod('poison')), undefined)
    const next = await space.create(pod('b'), withRevision())
    t.equal(next.revision, 2, 'no gap')
    const first = await watch[Symbol.asyncIterator]().next()
    t.match(first.value?.[0], { type: 'created', revision: 2 })
    await store.stop()
    const { store: reopened } = await temporaryStore(t, { database: file })
    t.same((await reopened.openSpace(C1)).list('pods'), space.list('pods'))
  })
}

t.test('everything that builds on a refused write is refused with it', async t => {
  const { file, space } = await temporarySpace(t)
  poison(file, 'ABORT')
  const results = await Promise.allSettled([
    space.create(pod('a'), withRevision()),
    space.create(pod('poison'), withRevision()),
    space.update(pod('a'), withRevision()),
    space.create(pod('poison'), withRevision()),
  ])
  for (const result of results) t.match(result, { status: 'rejected', reason: { code: 'WriteFailed' } })
  t.equal(space.revision, 0)
  t.same(space.list('pods').objects, [])
  t.equal((await space.create(pod('a'), withRevision())).revision, 1)
})

t.test('writes that wait for the next transaction are refused with the one that they follow', async t => {
  const { file, space } = await temporarySpace(t, { limits: { batchWrites: 2 } })
  poison(file, 'ABORT')
  const results = await Promise.allSettled(
    ['a', 'b', 'c', 'poison', 'd', 'e', 'f'].map(name => space.create(pod(name), withRevision())),
  )
  const outcomes = results.map(({ status }) => status)
  t.same(outcomes, ['fulfilled', 'fulfilled', ...Array<string>(5).fill('rejected')])
  t.equal(space.revision, 2)
  t.equal((await space.create(pod('g'), withRevision())).revision, 3)
})

t.test('the transaction of one space does not hurt the others in it', async t => {
  const { store, file, space } = await temporarySpace(t)
  const other = await store.createSpace(parseSpaceId('c2'))
  poison(file, 'ABORT')
  const [bad, good] = await Promise.allSettled([
    space.create(pod('poison'), withRevision()),
    other.create(pod('a'), withRevision()),
  ])
  t.equal(bad.status, 'rejected')
  t.equal(good.status, 'fulfilled')
  t.equal(other.revision, 1)
})

t.test('a database that refuses everything for a while', async t => {
  const { file, space } = await temporarySpace(t)
  refuse(file, { trigger: 'broken', on: 'UPDATE ON space' })
  for (let attempt = 0; attempt < 3; attempt += 1) {
    await t.rejects(space.create(pod('a'), withRevision()), { code: 'WriteFailed' })
  }
  sabotage(file, 'DROP TRIGGER broken')
  t.equal((await space.create(pod('a'), withRevision())).revision, 1)
})

t.test('a counter that somebody else has moved fences the space', async t => {
  const { store, file, space } = await temporarySpace(t)
  await space.create(pod('a'), withRevision())
  sabotage(file, 'UPDATE space SET revision = 2')
  sabotage(file, "INSERT INTO log SELECT space, 2, kind, namespace, 'b', 0, 2, 0, time, value FROM log")
  await t.rejects(space.create(pod('c'), withRevision()), { code: 'WriteFailed', status: 503 })
  const again = await store.openSpace(C1)
  t.equal(again.revision, 2)
  t.ok(again.get(pod('b')))
  t.equal((await again.create(pod('c'), withRevision())).revision, 3)
})

t.test('spaces that cannot be made', async t => {
  const { store, file } = await temporaryStore(t)
  refuse(file, { trigger: 'broken', on: 'INSERT ON space' })
  await t.rejects(store.createSpace(C1), { code: 'WriteFailed', object: 'space c1' })
  t.same(store.spaces(), [])
  sabotage(file, 'DROP TRIGGER broken')
  await store.createSpace(C1)
})
