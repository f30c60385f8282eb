/** Which files the store opens, and that it leaves the others as they are. */
import { readFile, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { openStore } from '../../../../server/store/index.ts'
import {
  C1,
  pod,
  sabotage,
  silentLog,
  temporaryDirectory,
  temporarySpace,
  temporaryStore,
  withRevision,
} from './temporary-store.ts'

t.test('a newer schema is refused and nothing is changed', async t => {
  const { store, file, space } = await temporarySpace(t)
  await space.create(pod('a'), withRevision())
  await store.stop()
  sabotage(file, 'PRAGMA user_version = 99')
  const before = await readFile(file)
  await t.rejects(openStore({ database: file, log: silentLog }), {
    code: 'NewerVersion',
    status: 409,
    message: /schema version 99/,
    object: file,
  })
  t.same(await readFile(file), before)
})

t.test('a database of another program is refused and nothing is changed', async t => {
  const file = path.join(await temporaryDirectory(t), 'other.db')
  sabotage(file, 'CREATE TABLE accounts (name TEXT); INSERT INTO accounts VALUES (1)')
  const before = await readFile(file)
  await t.rejects(openStore({ database: file, log: silentLog }), { code: 'CorruptFile', object: file })
  t.same(await readFile(file), before)
})

t.test('a file that is no database is refused and nothing is changed', async t => {
  const file = path.join(await temporaryDirectory(t), 'letter.txt')
  const text = 'Dear reader, this is no database. '.repeat(100)
  await writeFile(file, text)
  await t.rejects(openStore({ database: file, log: silentLog }), { code: 'CorruptFile', object: file })
  t.equal(await readFile(file, 'utf8'), text)
})

t.test('an empty file becomes a store', async t => {
  const file = path.join(await temporaryDirectory(t), 'store.db')
  await writeFile(file, '')
  const { store } = await temporaryStore(t, { database: file })
  t.same(store.spaces(), [])
})

t.test('the file is readable by its owner only', async t => {
  const { file, space } = await temporarySpace(t)
  await space.create(pod('a'), withRevision())
  for (const part of [file, `${file}-wal`, `${file}-shm`]) {
    t.equal((await stat(part)).mode & 0o777, 0o600, path.basename(part))
  }
})

t.test('a log that contradicts itself is not served', async t => {
  const damages: Readonly<Record<string, RegExp>> = {
    'DELETE FROM log WHERE revision = 2': /revision 3 follows revision 1/,
    'DELETE FROM log WHERE revision = 3': /ends at revision 2, the space is at 3/,
    'UPDATE log SET previous = 2 WHERE revision = 3': /replaces revision 2, not 1/,
    'UPDATE space SET compacted = 3; UPDATE log SET deleted = 1 WHERE revision = 3':
      /a deletion in the compacted/,
  }
  for (const [sql, message] of Object.entries(damages)) {
    const { store, file, space } = await temporarySpace(t)
    await space.create(pod('a'), withRevision())
    await space.create(pod('b'), withRevision())
    await space.update(pod('a'), withRevision())
    await store.stop()
    sabotage(file, sql)
    const { store: reopened } = await temporaryStore(t, { database: file })
    await t.rejects(reopened.openSpace(C1), { code: 'CorruptFile', object: 'space c1', message }, sql)
  }
})

t.test('what a deleted space held is removed from the file, also after a restart', async t => {
  const { store, file, space } = await temporarySpace(t)
  await Promise.all(Array.from({ length: 50 }, (_, index) => space.create(pod(`p${index}`), withRevision())))
  await store.stop()
  // A deletion that was interrupted before the log went.
  sabotage(file, 'UPDATE space SET id = NULL')
  const { store: reopened } = await temporaryStore(t, { database: file })
  t.same(reopened.spaces(), [])
  await reopened.createSpace(C1)
  await reopened.deleteSpace(C1)
  await reopened.stop()
  sabotage(file, 'CREATE TABLE empty (n INTEGER CHECK (n = 0)); INSERT INTO empty SELECT count(*) FROM log')
  t.pass('the log is empty')
})
