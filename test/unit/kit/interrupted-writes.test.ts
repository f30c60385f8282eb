import { readdirSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { removeInterruptedWrites, writeFileDurably } from '../../../kit/index.ts'

t.test('only what a write left unfinished goes', async t => {
  const directory = t.testdir({ 'a.json.4711.3.tmp': '{', 'notes.tmp': 'mine', 'b.json': '{}' })
  await writeFileDurably(path.join(directory, 'c.json'), '{}')
  t.strictSame((await removeInterruptedWrites(directory)).toSorted(), ['b.json', 'c.json', 'notes.tmp'])
  t.strictSame(readdirSync(directory).toSorted(), ['b.json', 'c.json', 'notes.tmp'])
})
