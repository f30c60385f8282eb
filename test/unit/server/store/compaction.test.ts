/** History is forgotten in the amount asked for, objects are not. */
import t from 'tap'
import type { Clock } from '../../../../kit/index.ts'
import type { Space } from '../../../../server/store/index.ts'
import { C1, numbersIn, pod, temporarySpace, temporaryStore, withRevision } from './temporary-store.ts'

function logRevisions(file: string): number[] {
  return numbersIn(file, 'SELECT revision FROM log ORDER BY revision')
}

async function update(space: Space, name: string, times: number): Promise<void> {
  await Promise.all(Array.from({ length: times }, () => space.update(pod(name), withRevision())))
}

t.test('what was replaced or deleted goes, what is current stays', async t => {
  const { store, file, space } = await temporarySpace(t)
  await space.create(pod('kept'), withRevision())
  await space.create(pod('changed'), withRevision())
  await space.create(pod('deleted'), withRevision())
  await space.update(pod('changed'), withRevision())
  await space.delete(pod('deleted'))
  await space.create(pod('deleted'), withRevision())
  await space.update(pod('changed'), withRevision())
  await space.compact(5)
  t.equal(space.compactedRevision, 5)
  t.same(logRevisions(file), [1, 4, 6, 7])
  await space.compact(7)
  t.same(logRevisions(file), [1, 6, 7])
  await space.compact(3)
  t.equal(space.compactedRevision, 7, 'it never goes back')
  await t.rejects(space.compact(8), { code: 'FutureRevision' })
  await store.stop()
  const { store: reopened } = await temporaryStore(t, { database: file })
  const again = await reopened.openSpace(C1)
  t.same(again.list('pods'), space.list('pods'))
  t.equal(again.compactedRevision, 7)
  t.throws(() => again.watch({ after: 6 }), { code: 'Expired' }, 'refused after a restart too')
})

t.test('a change whose predecessor was current at the compacted revision is delivered whole', async t => {
  const { store, file, space } = await temporarySpace(t)
  const first = await space.create(pod('a'), withRevision())
  await space.create(pod('b'), withRevision())
  await space.compact(2)
  await space.update(pod('a'), withRevision())
  await space.delete(pod('b'))
  await store.stop()
  const { store: reopened } = await temporaryStore(t, {
    database: file,
    limits: { recent: { events: 0, bytes: 0 } },
  })
  const again = await reopened.openSpace(C1)
  const { value } = await again.watch({ after: 2 })[Symbol.asyncIterator]().next()
  t.match(value, [
    { type: 'updated', previous: first },
    { type: 'deleted', previous: { key: pod('b'), revision: 2, createdRevision: 2 } },
  ])
})

t.test('a long history goes in steps, with writes between them', async t => {
  const { file, space } = await temporarySpace(t)
  await space.create(pod('a'), withRevision())
  await update(space, 'a', 3_000)
  const compacting = space.compact(3_000)
  const seen: number[] = []
  for (let compacted = 0; compacted < 3_000; compacted = space.compactedRevision) {
    await space.update(pod('a'), withRevision())
    if (space.compactedRevision !== seen.at(-1)) seen.push(space.compactedRevision)
  }
  await compacting
  t.ok(seen.length > 2, `writes were committed between the steps ${seen.join(' ')}`)
  const left = logRevisions(file)
  t.equal(left[0], 3_000)
  t.equal(left.length, space.revision - 2_999)
})

/** A clock whose time passes when the test says so. */
class ManualClock implements Clock {
  time = 1_000_000
  #timers: { at: number; callback: () => void }[] = []

  now(): number {
    return this.time
  }

  monotonic(): number {
    return this.time
  }

  after(milliseconds: number, callback: () => void): () => void {
    const timer = { at: this.time + milliseconds, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter(other => other !== timer)
    }
  }

  pass(milliseconds: number): void {
    this.time += milliseconds
    const due = this.#timers.filter(({ at }) => at <= this.time)
    this.#timers = this.#timers.filter(({ at }) => at > this.time)
    for (const { callback } of due) callback()
  }
}

/** Lets writes happen until the compacted revision is the expected one. */
async function untilCompacted(space: Space, expected: number): Promise<void> {
  while (space.compactedRevision < expected) await space.update(pod('a'), withRevision())
}

t.test('automatic: old history goes, some revisions and some minutes stay', async t => {
  const clock = new ManualClock()
  const retention = { age: 600_000, revisions: 100, interval: 60_000 }
  const { space } = await temporarySpace(t, { clock, retention })
  await space.create(pod('a'), withRevision())
  await update(space, 'a', 1_299)
  clock.pass(60_000)
  await update(space, 'a', 300)
  t.equal(space.compactedRevision, 0, 'nothing is old enough')
  clock.pass(540_000)
  clock.pass(1)
  // Revisions 1 to 1,300 are older than ten minutes, and go in steps of 500.
  clock.pass(60_000)
  await untilCompacted(space, 1_000)
  t.ok(space.compactedRevision <= 1_300)
})
