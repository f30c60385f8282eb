/** The store on a real MariaDB: what SQLite's tests demand of it, and what can go wrong with a server. */
import path from 'node:path'
import t from 'tap'
import { explainError, isDroverError } from '../../../kit/index.ts'
import { openStore, parseSpaceId } from '../../../server/store/index.ts'
import { runTestFile } from '../../runner/run-file.ts'
import { pod, silentLog, withRevision } from '../../unit/server/store/temporary-store.ts'
import { MariadbServer, missingMariadb } from './mariadb-server.ts'

const skip = await missingMariadb()
const root = path.resolve(import.meta.dirname, '../../..')
const C1 = parseSpaceId('c1')

t.test('the store on MariaDB', { skip, timeout: 500_000 }, async t => {
  const server = await MariadbServer.start(end => t.teardown(end))

  for (const name of ['store', 'watch', 'compaction', 'refused-commit', 'model']) {
    await t.test(`the tests of both engines: ${name}`, async t => {
      process.env.DROVER_TEST_DATABASE = server.url('')
      const result = await runTestFile(path.join(root, `test/unit/server/store/${name}.test.ts`))
      delete process.env.DROVER_TEST_DATABASE
      t.equal(result.failed, 0, result.failures.join('\n'))
      t.ok(result.passed > 0)
    })
  }

  await t.test('a server that dies in the middle of writes, and comes back', async t => {
    const url = await server.createDatabase('crash')
    const store = await openStore({ database: url, log: silentLog })
    t.teardown(() => store.stop())
    const space = await store.createSpace(C1)
    const acknowledged = new Map<number, string>()
    let next = 0
    let writing = true
    const write = async () => {
      while (writing) {
        const name = `w${next}`
        next += 1
        try {
          acknowledged.set((await space.create(pod(name), withRevision())).revision, name)
        } catch (error) {
          if (!isDroverError(error, 'WriteFailed')) throw error
          await new Promise(resolve => setTimeout(resolve, 20))
        }
      }
    }
    const writers = Array.from({ length: 16 }, write)
    for (let round = 0; round < 3; round += 1) {
      const before = acknowledged.size
      while (acknowledged.size < before + 200) await new Promise(resolve => setTimeout(resolve, 5))
      await server.kill()
      await server.resume()
    }
    const after = acknowledged.size
    while (acknowledged.size < after + 50) await new Promise(resolve => setTimeout(resolve, 5))
    writing = false
    await Promise.all(writers)
    const { revision } = space
    const other = await openStore({ database: url, log: silentLog })
    t.teardown(() => other.stop())
    const reopened = await other.openSpace(C1)
    t.equal(reopened.revision, revision, 'memory and disk agree')
    const kept = new Map(reopened.list('pods').objects.map(object => [object.revision, object.key.name]))
    const missing = [...acknowledged].filter(([at, name]) => kept.get(at) !== name)
    t.same(missing, [], 'every acknowledged write is there')
  })

  await t.test('bad addresses are told without the password', async t => {
    const wrong = server.url('none').replace(/:[^:@]+@/, ':wrong@')
    await t.rejects(openStore({ database: wrong, log: silentLog }), { code: 'DatabaseRefused' })
    const refused = await openStore({ database: 'mysql://a:secret@host/', log: silentLog }).catch(
      (error: unknown) => error,
    )
    t.match(refused, { code: 'InvalidAddress' })
    t.notMatch(explainError(refused), 'secret')
    await t.rejects(openStore({ database: 'mysql://a:b@127.0.0.1:1/x', log: silentLog }), {
      code: 'DatabaseLost',
    })
    const foreign = await server.createDatabase('foreign')
    const connection = await server.connect('foreign')
    await connection.query('CREATE TABLE space (n INT)')
    await t.rejects(openStore({ database: foreign, log: silentLog }), { code: 'CorruptFile' })
    await connection.query('DROP TABLE space')
    await (await openStore({ database: foreign, log: silentLog })).stop()
    await connection.query('INSERT INTO drover_schema VALUES (99)')
    await t.rejects(openStore({ database: foreign, log: silentLog }), { code: 'NewerVersion' })
    await connection.end()
  })
})
