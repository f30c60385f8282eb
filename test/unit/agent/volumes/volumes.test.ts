import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { writeContent } from '../../../../agent/volumes/content-directory.ts'
import { mountPoints } from '../../../../agent/volumes/memory.ts'
import { openSubPath, requireType } from '../../../../agent/volumes/places.ts'

async function scratch(test: { teardown(work: () => Promise<void>): unknown }): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'volumes-'))
  test.teardown(() => rm(directory, { recursive: true }))
  return directory
}

const file = (name: string, text: string, mode = 0o644) => ({ path: name, data: Buffer.from(text), mode })

t.test('content changes all at once', async t => {
  const volume = path.join(await scratch(t), 'v')
  await writeContent(volume, [file('a', '1', 0o400), file('deep/er/b', '2')], {})
  t.equal(await readFile(path.join(volume, 'a'), 'utf8'), '1')
  t.equal(await readFile(path.join(volume, 'deep/er/b'), 'utf8'), '2')
  t.equal((await stat(path.join(volume, 'a'))).mode & 0o777, 0o400)
  t.ok((await lstat(path.join(volume, 'a'))).isSymbolicLink())
  const open = await readFile(path.join(volume, 'deep/er/b'))
  await writeContent(volume, [file('a', 'new'), file('c', '3')], {})
  t.equal(open.toString(), '2')
  t.strictSame((await readdir(volume)).filter(name => !name.startsWith('..')).toSorted(), ['a', 'c'])
  t.equal((await readdir(volume)).filter(name => name.startsWith('..2')).length, 1, 'the old ones are gone')
  t.equal(await readFile(path.join(volume, 'a'), 'utf8'), 'new')
})

t.test('content stays inside', async t => {
  const volume = path.join(await scratch(t), 'v')
  for (const name of ['../x', '/etc/x', 'a/../../x', '..data', '', 'a//b'])
    await t.rejects(writeContent(volume, [file(name, 'x')], {}), { code: 'UnsafePath' }, name)
})

t.test('parts of volumes stay inside', async t => {
  const volume = await scratch(t)
  await mkdir(path.join(volume, 'in'))
  await symlink('in', path.join(volume, 'good'))
  await symlink('/etc', path.join(volume, 'bad'))
  await symlink('../..', path.join(volume, 'worse'))
  await symlink('good/./deep', path.join(volume, 'far'))
  await symlink('loop', path.join(volume, 'loop'))
  const placeOf = async (name: string) => {
    const part = await openSubPath(volume, name)
    try {
      return await readlink(`/proc/self/fd/${part.fd}`)
    } finally {
      await part.close()
    }
  }
  t.match(await placeOf('good'), /\/in$/)
  t.match(await placeOf('new/part'), /\/new\/part$/)
  t.match(await placeOf('far/part'), /\/in\/deep\/part$/)
  for (const name of ['bad', 'bad/passwd', 'worse', '../x', '/etc', 'in/../..', 'loop'])
    await t.rejects(openSubPath(volume, name), { code: 'UnsafePath' }, name)
})

t.test('paths of the host are what they are said to be', async t => {
  const directory = await scratch(t)
  await writeFile(path.join(directory, 'file'), 'kept')
  await chmod(path.join(directory, 'file'), 0o600)
  await requireType(path.join(directory, 'file'), 'FileOrCreate')
  t.equal(await readFile(path.join(directory, 'file'), 'utf8'), 'kept')
  await requireType(path.join(directory, 'made'), 'DirectoryOrCreate')
  await requireType(path.join(directory, 'made'), 'Directory')
  await requireType(path.join(directory, 'touched'), 'FileOrCreate')
  await t.rejects(requireType(path.join(directory, 'file'), 'Directory'), { code: 'WrongType' })
  await t.rejects(requireType(path.join(directory, 'absent'), 'Directory'), { code: 'WrongType' })
  await t.rejects(requireType(path.join(directory, 'absent'), 'Socket'), { code: 'WrongType' })
  await t.rejects(requireType('relative', ''), { code: 'UnsafePath' })
})

t.test('where something is mounted', async t => {
  const text = '36 35 98:0 / /mnt/a\\040b rw shared:1 - tmpfs tmpfs rw\n37 35 98:0 / /x rw - ext4 /dev/a rw\n'
  t.strictSame(mountPoints(text), ['/mnt/a b', '/x'])
})
