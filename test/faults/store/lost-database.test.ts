/** The database stops answering in the middle of a transaction: what became of it is found out, not guessed. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t, { type Test } from 'tap'
import { createLogger, systemClock } from '../../../kit/index.ts'
import type { CommitOutcome, Database, SpaceCommit } from '../../../server/store/database.ts'
import { parseSpaceId, type Space, storeErrors } from '../../../server/store/index.ts'
import { DEFAULT_LIMITS, DEFAULT_RETENTION } from '../../../server/store/limits.ts'
import { SqlStore } from '../../../server/store/sql-store.ts'
import { SqliteDatabase } from '../../../server/store/sqlite/index.ts'

const log = createLogger('test', 'silent')
const C1 = parseSpaceId('c1')
const pod = (name: string) => ({ kind: 'pods', namespace: 'default', name })
const encode = (revision: number) => JSON.stringify({ revision })
const away = () => storeErrors.DatabaseLost({ object: 'test' })

/** The line to a database: cut, the real one behind it does what still reaches it, and nobody hears of it. */
class Line {
  /** What becomes of the next commits: they arrive and their answer does not, or they do not arrive. */
  cut: 'answer' | 'request' | undefined
  /** Whether questions go unanswered as well. */
  silent = false

  through(database: Database): Database {
    const overLine =
      <Args extends unknown[], Result>(ask: (...args: Args) => Promise<Result>) =>
      async (...args: Args): Promise<Result> => {
        if (this.silent) throw away()
        return await ask.apply(database, args)
      }
    return {
      listSpaces: overLine(database.listSpaces),
      createSpace: overLine(database.createSpace),
      acquireSpace: overLine(database.acquireSpace),
      readSpace: overLine(database.readSpace),
      deleteSpace: overLine(database.deleteSpace),
      purge: overLine(database.purge),
      loadSpace: overLine(database.loadSpace),
      readHistory: overLine(database.readHistory),
      compact: overLine(database.compact),
      commit: commits => this.#commit(database, commits),
      stop: () => database.stop(),
    }
  }

  async #commit(database: Database, commits: readonly SpaceCommit[]): Promise<readonly CommitOutcome[]> {
    if (this.cut === 'request') throw away()
    const outcomes = await database.commit(commits)
    if (this.cut === 'answer') throw away()
    return outcomes
  }
}

interface Setting {
  readonly file: string
  readonly store: SqlStore
  readonly space: Space
  readonly line: Line
}

async function setting(t: Test, { deadline = 30_000, writeDeadline = 60_000 } = {}): Promise<Setting> {
  const directory = await mkdtemp(path.join(tmpdir(), 'store-lost-'))
  const file = path.join(directory, 'store.db')
  const line = new Line()
  const store = await SqlStore.start({
    database: line.through(await SqliteDatabase.open({ file, log, deadline })),
    clock: systemClock,
    log,
    limits: { ...DEFAULT_LIMITS, writeDeadline },
    retention: DEFAULT_RETENTION,
  })
  t.teardown(async () => {
    await store.stop()
    await rm(directory, { recursive: true, force: true })
  })
  return { file, store, line, space: await store.createSpace(C1) }
}

t.test('the transaction is on disk, only its answer was lost: the write is acknowledged', async t => {
  const { space, line } = await setting(t)
  const watch = space.watch({ after: 0 })
  line.cut = 'answer'
  const created = await space.create(pod('a'), encode)
  line.cut = undefined
  t.equal(created.revision, 1)
  t.equal(space.get(pod('a')), created)
  t.match((await watch[Symbol.asyncIterator]().next()).value, [{ type: 'created', revision: 1 }])
  t.equal((await space.create(pod('b'), encode)).revision, 2)
})

t.test('the transaction never arrived: the write is refused and nothing is left of it', async t => {
  const { space, line } = await setting(t)
  line.cut = 'request'
  await t.rejects(space.create(pod('a'), encode), { code: 'WriteFailed', message: /lost before it did it/ })
  line.cut = undefined
  t.equal(space.revision, 0)
  t.equal((await space.create(pod('b'), encode)).revision, 1)
})

t.test(
  'writes that wait behind a lost transaction are refused; nothing is accepted until it is clear',
  async t => {
    const { space, line } = await setting(t)
    line.cut = 'answer'
    line.silent = true
    const first = space.create(pod('a'), encode)
    // Wait until the transaction is under way: what comes now goes into the next one.
    await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
    await t.rejects(space.create(pod('b'), encode), { code: 'WriteFailed', status: 503 })
    await t.rejects(space.create(pod('c'), encode), { code: 'WriteFailed', status: 503 })
    line.silent = false
    line.cut = undefined
    t.equal((await first).revision, 1)
    t.equal((await space.create(pod('d'), encode)).revision, 2)
    t.same(
      space.list('pods').objects.map(({ key }) => key.name),
      ['a', 'd'],
    )
  },
)

for (const cut of ['answer', 'request'] as const) {
  t.test(`the database stays away longer than a write may wait (lost ${cut})`, async t => {
    const { space, line } = await setting(t, { writeDeadline: 20 })
    line.cut = cut
    line.silent = true
    await t.rejects(space.create(pod('a'), encode), {
      code: 'WriteFailed',
      status: 503,
      message: /will be known/,
      mend: /read the object/,
    })
    t.equal(space.revision, 0)
    line.silent = false
    line.cut = undefined
    let next = 0
    while (next === 0) {
      next = await space.create(pod('b'), encode).then(
        ({ revision }) => revision,
        () => 0,
      )
      await new Promise(resolve => setImmediate(resolve))
    }
    t.equal(next, cut === 'answer' ? 2 : 1, 'it goes on from what is on disk')
    t.equal(space.get(pod('a'))?.revision, cut === 'answer' ? 1 : undefined)
  })
}

t.test('a store stops while its database is away', async t => {
  const { store, space, line } = await setting(t)
  line.cut = 'request'
  line.silent = true
  const write = space.create(pod('a'), encode)
  const refused = t.rejects(write, { code: 'WriteFailed', message: /will be known/ })
  await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
  await t.rejects(space.create(pod('b'), encode), { code: 'WriteFailed' })
  await store.stop()
  await refused
})

t.test('a thread that hangs is replaced, and what it did is read from the file', async t => {
  const { file, space } = await setting(t, { deadline: 200 })
  await space.create(pod('a'), encode)
  const other = new DatabaseSync(file)
  // Another program holds the lock of the file for longer than the deadline.
  other.exec('BEGIN IMMEDIATE')
  const write = space.create(pod('b'), encode)
  await t.rejects(write, { code: 'WriteFailed' })
  t.equal(space.revision, 1)
  other.exec('ROLLBACK')
  other.close()
  let revision = 0
  while (revision === 0) {
    revision = await space.create(pod('c'), encode).then(
      created => created.revision,
      () => 0,
    )
    await new Promise(resolve => setImmediate(resolve))
  }
  t.equal(revision, 2)
  t.same(
    space.list('pods').objects.map(({ key }) => key.name),
    ['a', 'c'],
  )
})

t.test('making a space whose answer is lost can be tried again', async t => {
  const { store, line } = await setting(t)
  line.silent = true
  await t.rejects(store.createSpace(parseSpaceId('c2')), { code: 'WriteFailed', status: 503 })
  await t.rejects(store.openSpace(parseSpaceId('c3')), { code: 'WriteFailed', status: 503 })
  line.silent = false
  await store.createSpace(parseSpaceId('c2'))
  t.same(store.spaces(), ['c1', 'c2'])
})
