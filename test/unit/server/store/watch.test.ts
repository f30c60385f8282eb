/**
 * What a watch promises, named after etcd's list (https://etcd.io/docs/v3.5/learning/api_guarantees/#watch-apis):
 * ordered, unique, reliable, atomic, resumable, bookmarkable. And how it ends.
 */
import t, { type Test } from 'tap'
import type { ChangeEvent, Space, Watch } from '../../../../server/store/index.ts'
import { parseSpaceId } from '../../../../server/store/index.ts'
import { C1, pod, temporarySpace, temporaryStore, withRevision } from './temporary-store.ts'

/** Reads until the watch has delivered `revision`, or ends. */
async function readUpTo(watch: Watch, revision: number): Promise<ChangeEvent[]> {
  const events: ChangeEvent[] = []
  if (watch.revision >= revision) return events
  for await (const batch of watch) {
    events.push(...batch)
    if (watch.revision >= revision) break
  }
  return events
}

const revisions = (events: readonly ChangeEvent[]) => events.map(event => event.revision)
const upTo = (last: number, first = 1) =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index)

/** Makes `count` revisions: creates, updates and deletes of a few objects of two kinds in three namespaces. */
async function churn(space: Space, count: number): Promise<void> {
  const writes: Promise<unknown>[] = []
  const present = new Set<string>()
  for (let index = 0; index < count; index += 1) {
    const key = {
      kind: index % 3 === 0 ? 'nodes' : 'pods',
      namespace: `n${index % 4}`,
      name: `o${(index * 7) % 11}`,
    }
    const id = JSON.stringify(key)
    if (!present.has(id)) writes.push(space.create(key, withRevision()))
    else if (index % 5 === 0) writes.push(space.delete(key))
    else writes.push(space.update(key, withRevision()))
    if (present.has(id) && index % 5 === 0) present.delete(id)
    else present.add(id)
    if (index % 17 === 0) await Promise.all(writes)
  }
  await Promise.all(writes)
}

t.test('ordered and unique and reliable: every revision once, in order', async t => {
  const { space } = await temporarySpace(t)
  const watch = space.watch({ after: 0 })
  const reading = readUpTo(watch, 300)
  await churn(space, 300)
  t.same(revisions(await reading), upTo(300))
})

t.test('reliable: from any revision, whether memory or only the disk has it', async t => {
  const { space } = await temporarySpace(t, { limits: { recent: { events: 50, bytes: 1e9 } } })
  await churn(space, 400)
  for (const after of [0, 1, 199, 349, 350, 351, 399, 400]) {
    const events = await readUpTo(space.watch({ after }), 400)
    t.same(revisions(events), upTo(400, after + 1), `after ${after}`)
  }
})

t.test('the past from disk is what a live watch saw', async t => {
  const { space } = await temporarySpace(t, { limits: { recent: { events: 0, bytes: 0 } } })
  for (const filter of [{}, { kind: 'pods' }, { kind: 'pods', namespace: 'n1' }, { namespace: 'n2' }]) {
    const from = space.revision
    const live = readUpTo(space.watch({ ...filter, after: from }), from + 100)
    await churn(space, 100)
    const past = await readUpTo(space.watch({ ...filter, after: from }), from + 100)
    t.same(past, await live, JSON.stringify(filter))
    await space.compact(space.revision)
    for (const { key } of [...space.list('pods').objects, ...space.list('nodes').objects])
      await space.delete(key)
  }
})

t.test('reliable: no gap and no duplicate where the past meets the live stream', async t => {
  const { space } = await temporarySpace(t, { limits: { recent: { events: 5, bytes: 1e9 } } })
  await churn(space, 100)
  const writing = (async () => {
    for (let index = 0; index < 200; index += 1) await space.create(pod(`live-${index}`), withRevision())
  })()
  const readers = Array.from({ length: 20 }, (_, index) => readUpTo(space.watch({ after: index * 5 }), 300))
  await writing
  for (const [index, events] of (await Promise.all(readers)).entries()) {
    t.same(revisions(events), upTo(300, index * 5 + 1))
  }
})

t.test('only what was asked for', async t => {
  const { space } = await temporarySpace(t)
  const watches = [
    space.watch({ after: 0 }),
    space.watch({ after: 0, kind: 'pods' }),
    space.watch({ after: 0, kind: 'pods', namespace: 'a' }),
    space.watch({ after: 0, namespace: 'a' }),
    space.watch({ after: 0, kind: 'nothing' }),
  ]
  const reading = watches.map(watch => readUpTo(watch, 4))
  await space.create(pod('1', 'a'), withRevision())
  await space.create(pod('2', 'b'), withRevision())
  await space.create({ kind: 'nodes', namespace: '', name: '3' }, withRevision())
  await space.create({ kind: 'secrets', namespace: 'a', name: '4' }, withRevision())
  for (const watch of watches) watch.close()
  const delivered = (await Promise.all(reading)).map(revisions)
  t.same(delivered, [upTo(4), [1, 2], [1], [1, 4], []])
})

t.test('atomic: what is delivered can be read, and the event is complete', async t => {
  const { space } = await temporarySpace(t)
  const watch = space.watch({ after: 0 })
  const [created] = await Promise.all([space.create(pod('a'), withRevision())])
  const updated = await space.update(pod('a'), withRevision())
  await space.delete(pod('a'))
  const events: ChangeEvent[] = []
  for await (const batch of watch) {
    events.push(...batch)
    t.ok(space.revision >= (batch.at(-1)?.revision ?? 0))
    if (watch.revision === 3) break
  }
  t.same(events, [
    { type: 'created', revision: 1, object: created },
    { type: 'updated', revision: 2, object: updated, previous: created },
    { type: 'deleted', revision: 3, previous: updated },
  ])
})

t.test('resumable: from the last revision seen, also after a restart', async t => {
  const { store, file, space } = await temporarySpace(t)
  await churn(space, 150)
  const watch = space.watch({ after: 0, kind: 'pods' })
  const first: ChangeEvent[] = []
  for await (const batch of watch) {
    first.push(...batch.slice(0, 20))
    break
  }
  const last = first.at(-1)?.revision ?? 0
  await store.stop()
  const { store: reopened } = await temporaryStore(t, {
    database: file,
    limits: { recent: { events: 10, bytes: 1e9 } },
  })
  const again = await reopened.openSpace(C1)
  const rest = await readUpTo(again.watch({ after: last, kind: 'pods' }), 150)
  const whole = await readUpTo(again.watch({ after: 0, kind: 'pods' }), 150)
  t.same([...first, ...rest], whole)
})

t.test('bookmarkable: an idle watch knows that it missed nothing', async t => {
  const { space } = await temporarySpace(t)
  const watch = space.watch({ after: 0, kind: 'nodes' })
  t.equal(watch.revision, 0)
  await churn(space, 1)
  t.equal(watch.revision, 0, 'revision 1 matches and is not delivered yet')
  await space.create(pod('a'), withRevision())
  t.equal(watch.revision, 0)
  await readUpTo(watch, 1)
  const quiet = space.watch({ after: space.revision, kind: 'nothing' })
  await space.create(pod('b'), withRevision())
  t.equal(quiet.revision, 3, 'what does not match is skipped')
  const past = space.watch({ after: 1, kind: 'pods' })
  t.equal(past.revision, 1)
  t.same(revisions(await readUpTo(past, 3)), [2, 3])
  t.equal(past.revision, 3)
})

t.test('two readers of one watch share its events', async t => {
  const { space } = await temporarySpace(t, { limits: { recent: { events: 0, bytes: 0 } } })
  await churn(space, 30)
  const watch = space.watch({ after: 0 })
  const [one, two] = [watch[Symbol.asyncIterator](), watch[Symbol.asyncIterator]()]
  const results = Promise.all([one.next(), two.next()])
  await space.create(pod('one more'), withRevision())
  const seen = (await results).flatMap(({ value }) => revisions(value ?? []))
  t.same(seen, upTo(31))
})

t.test('refused: compacted and future revisions', async t => {
  const { space } = await temporarySpace(t)
  await churn(space, 10)
  t.throws(() => space.watch({ after: 11 }), { code: 'FutureRevision', status: 504 })
  await space.compact(5)
  t.throws(() => space.watch({ after: 4 }), { code: 'Expired', status: 410 })
  t.same(revisions(await readUpTo(space.watch({ after: 5 }), 10)), upTo(10, 6))
})

t.test('compacted while it was catching up: Expired', async t => {
  const { space } = await temporarySpace(t, { limits: { recent: { events: 0, bytes: 0 } } })
  await churn(space, 20)
  const before = space.watch({ after: 3 })
  const during = space.watch({ after: 3 })[Symbol.asyncIterator]()
  const compaction = space.compact(10)
  const racing = during.next()
  await compaction
  await t.rejects(racing, { code: 'Expired' })
  await t.rejects(before[Symbol.asyncIterator]().next(), { code: 'Expired' })
})

/** Fills the buffer of a watch that nobody reads. */
async function overflow(t: Test, limits: { events: number; bytes: number }, json: string) {
  const { space } = await temporarySpace(t, { limits: { watch: limits } })
  const slow = space.watch({ after: 0, kind: 'pods' })
  const other = space.watch({ after: 0, kind: 'nodes' })
  for (let index = 0; index < 12; index += 1) await space.create(pod(`p${index}`), () => json)
  return { space, slow, other }
}

t.test('a slow consumer loses its watch, not the memory of the server', async t => {
  for (const limits of [
    { events: 10, bytes: 1e9 },
    { events: 1_000, bytes: 10_000 },
  ]) {
    const { space, slow, other } = await overflow(t, limits, JSON.stringify('x'.repeat(1_000)))
    const iterator = slow[Symbol.asyncIterator]()
    await t.rejects(iterator.next(), { code: 'Expired', status: 410, message: /too slow/ })
    await t.rejects(iterator.next(), { code: 'Expired' }, 'it stays broken')
    t.equal(slow.revision, 0, 'and knows what was delivered')
    t.equal(other.revision, 12, 'a watch of another kind is untouched')
    t.same(revisions(await readUpTo(space.watch({ after: slow.revision }), 12)), upTo(12), 'resumable')
  }
})

t.test('one transaction larger than the buffer is not the fault of its consumer', async t => {
  const { space } = await temporarySpace(t, { limits: { watch: { events: 10, bytes: 1e9 } } })
  const reading = readUpTo(space.watch({ after: 0 }), 100)
  await Promise.all(upTo(100).map(index => space.create(pod(`p${index}`), withRevision())))
  t.same(revisions(await reading), upTo(100))
})

t.test('closing ends the iteration and drops what is buffered', async t => {
  const { space } = await temporarySpace(t)
  const watch = space.watch({ after: 0 })
  const iterator = watch[Symbol.asyncIterator]()
  const waiting = iterator.next()
  watch.close()
  t.same(await waiting, { done: true, value: undefined })
  await space.create(pod('a'), withRevision())
  t.same(await iterator.next(), { done: true, value: undefined })
  watch.close()
  t.equal(watch.revision, 0)
})

t.test('breaking out of the loop closes the watch', async t => {
  const { space } = await temporarySpace(t)
  const watch = space.watch({ after: 0 })
  await space.create(pod('a'), withRevision())
  for await (const _ of watch) break
  await space.create(pod('b'), withRevision())
  t.same(await watch[Symbol.asyncIterator]().next(), { done: true, value: undefined })
  t.equal(watch.revision, 1)
})

t.test('a deleted space and a stopped store end their watches after what is buffered', async t => {
  const { store, space } = await temporarySpace(t)
  const read = async (watch: Watch) => {
    const events: ChangeEvent[] = []
    for await (const batch of watch) events.push(...batch)
    return revisions(events)
  }
  const [idle, buffered] = [space.watch({ after: 0 }), space.watch({ after: 0 })]
  const reading = read(idle)
  await space.create(pod('a'), withRevision())
  await store.deleteSpace(C1)
  t.same(await reading, [1])
  t.same(await read(buffered), [1])
  t.throws(() => space.watch({ after: 1 }), { code: 'NotFound' })
  const other = await store.createSpace(parseSpaceId('c2'))
  const untilStop = read(other.watch({ after: 0 }))
  await store.stop()
  t.same(await untilStop, [])
})
