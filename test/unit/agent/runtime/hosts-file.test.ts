/** The `/etc/hosts` of a pod is there before every container, whatever an agent that was killed has left. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { ensureHostsFile } from '../../../../agent/runtime/hosts-file.ts'

t.test('made, kept, replaced', async t => {
  const root = await mkdtemp(path.join(tmpdir(), 'hosts-'))
  t.teardown(() => rm(root, { recursive: true, force: true }))
  const directory = path.join(root, 'pod')
  const file = await ensureHostsFile(directory, '10.42.0.2 web\n')
  t.equal(file, path.join(directory, 'hosts'))
  t.equal(await readFile(file, 'utf8'), '10.42.0.2 web\n')
  const { ino, mode } = await stat(file)
  t.equal(mode & 0o777, 0o644, 'everybody in the containers reads it')
  await ensureHostsFile(directory, '10.42.0.2 web\n')
  t.equal((await stat(file)).ino, ino, 'containers that run go on seeing the same file')
  await ensureHostsFile(directory, '10.42.0.3 web\n')
  t.equal(await readFile(file, 'utf8'), '10.42.0.3 web\n')

  await rm(file)
  await mkdir(file)
  await ensureHostsFile(directory, '10.42.0.3 web\n')
  t.equal(await readFile(file, 'utf8'), '10.42.0.3 web\n', 'in the place of a directory that Docker made')
  await writeFile(`${file}.next`, 'half of')
  await writeFile(file, '10.42.0')
  await ensureHostsFile(directory, '10.42.0.3 web\n')
  t.equal(await readFile(file, 'utf8'), '10.42.0.3 web\n', 'in the place of half a file')
  t.strictSame(await readdir(directory), ['hosts'])
})
