/** Parts of volumes in the kernel: what is mounted is a part of the volume, whoever changes the volume meanwhile. */
import { spawn } from 'node:child_process'
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { giveToGroup, pinSubPath, unmountBelow } from '../../../agent/volumes/index.ts'
import { isDroverError, runCommand } from '../../../kit/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'

const skip = inPrivateNetwork(import.meta.filename)

async function scratch(test: Test) {
  const directory = await mkdtemp(path.join(tmpdir(), 'drover-parts-'))
  test.teardown(async () => {
    await unmountBelow(directory)
    await rm(directory, { recursive: true })
  })
  const [volume, outside] = [path.join(directory, 'volume'), path.join(directory, 'outside')]
  await mkdir(path.join(volume, 'part'), { recursive: true })
  await writeFile(path.join(volume, 'part/of'), 'the volume')
  await mkdir(outside)
  await writeFile(path.join(outside, 'of'), 'the host')
  return { directory, volume, outside, place: path.join(directory, 'pinned/0') }
}

const mountsAt = async (place: string) =>
  (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter(line => line.split(' ')[4] === place)
    .length

t.test('a part of a volume', { skip }, async t => {
  const { volume, place } = await scratch(t)
  await pinSubPath(volume, 'part', place)
  t.equal(await readFile(path.join(place, 'of'), 'utf8'), 'the volume')
  await pinSubPath(volume, 'part/of', place)
  t.equal(await readFile(place, 'utf8'), 'the volume', 'a file')
  await pinSubPath(volume, 'new', place)
  t.strictSame(await readdir(place), [])
  await writeFile(path.join(place, 'made'), 'inside')
  t.equal(await readFile(path.join(volume, 'new/made'), 'utf8'), 'inside')
  t.equal(await mountsAt(place), 1, 'what was there before is gone')
  await unmountBelow(path.dirname(place))
  t.strictSame(await readdir(place), [])
  t.strictSame(await readdir(path.join(volume, 'new')), ['made'], 'and nothing of the volume')
})

t.test('what is mounted in a volume stays, whatever becomes of its parts', { skip }, async t => {
  const { volume, place } = await scratch(t)
  const inner = path.join(volume, 'part/inner')
  await mkdir(inner)
  // As on a host whose mounts are told to everybody.
  await runCommand('mount', ['--bind', volume, volume])
  await runCommand('mount', ['--make-shared', volume])
  await runCommand('mount', ['-t', 'tmpfs', 'tmpfs', inner])
  await writeFile(path.join(inner, 'note'), 'kept')
  await pinSubPath(volume, 'part', place)
  t.equal(await readFile(path.join(place, 'inner/note'), 'utf8'), 'kept')
  await unmountBelow(place)
  t.equal(await readFile(path.join(inner, 'note'), 'utf8'), 'kept')
})

t.test('a volume that is changed while it is mounted', { skip, timeout: 120_000 }, async t => {
  const { volume, outside, place } = await scratch(t)
  await rename(path.join(volume, 'part'), path.join(volume, 'real'))
  await symlink('real', path.join(volume, 'part'))
  // Each step is one for the kernel, too: the part is always there.
  const lead = (target: string) => `ln -s ${target} next && mv -T next part`
  const swap = `cd '${volume}' && while :; do ${lead(outside)}; ${lead('real')}; done`
  const attacker = spawn('sh', ['-c', swap], { stdio: 'ignore' })
  const gone = new Promise(resolve => attacker.once('close', resolve))
  try {
    const seen = new Set<string>()
    for (let attempt = 0; attempt < 150; attempt += 1) {
      try {
        await pinSubPath(volume, 'part/of', place)
        seen.add(await readFile(place, 'utf8'))
      } catch (error) {
        if (!isDroverError(error, 'UnsafePath')) throw error
        seen.add('refused')
      }
    }
    t.notOk(seen.has('the host'), [...seen].join())
    t.ok(seen.has('the volume'))
  } finally {
    attacker.kill('SIGKILL')
    await gone
  }
  t.strictSame(await readdir(outside), ['of'], 'nothing was made outside')
})

t.test('a group gets a volume, and nothing that links lead to', { skip }, async t => {
  const { volume, outside } = await scratch(t)
  await symlink(outside, path.join(volume, 'away'))
  await symlink(path.join(outside, 'of'), path.join(volume, 'part/file'))
  await chmod(path.join(volume, 'part/of'), 0o600)
  const before = await stat(path.join(outside, 'of'))
  await giveToGroup(volume, 3000, { deep: true, onlyOnMismatch: false })
  const given = await lstat(path.join(volume, 'part/of'))
  t.strictSame([given.gid, given.mode & 0o777], [3000, 0o660])
  const top = await lstat(volume)
  t.strictSame([top.gid, top.mode & 0o2070], [3000, 0o2070])
  const after = await stat(path.join(outside, 'of'))
  t.strictSame([after.gid, after.mode], [before.gid, before.mode])
  await chmod(path.join(volume, 'part/of'), 0o600)
  await giveToGroup(volume, 3000, { deep: true, onlyOnMismatch: true })
  t.equal((await lstat(path.join(volume, 'part/of'))).mode & 0o777, 0o600, 'it is its already')
})
