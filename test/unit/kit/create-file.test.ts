import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { createFileDurably } from '../../../kit/index.ts'

t.test('exactly one of many creates the file', async t => {
  const directory = t.testdir()
  const file = path.join(directory, 'name')
  const created = await Promise.all(Array.from({ length: 20 }, (_, n) => createFileDurably(file, `${n}`)))
  t.equal(created.filter(Boolean).length, 1)
  t.equal(readFileSync(file, 'utf8'), `${created.indexOf(true)}`)
  t.strictSame(readdirSync(directory), ['name'])
})

t.test('other failures are told', async t => {
  await t.rejects(createFileDurably(path.join(t.testdir(), 'none', 'name'), ''), { code: 'ENOENT' })
})
