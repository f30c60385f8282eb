/** Directories and files of the host that become volumes, and parts of volumes. */
import { type FileHandle, mkdir, readlink, realpath, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { systemErrorCode } from '../../kit/index.ts'
import { volumeErrors } from './errors.ts'
import { openItself } from './open-itself.ts'

async function statOf(file: string): Promise<Awaited<ReturnType<typeof stat>> | undefined> {
  try {
    return await stat(file)
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

const TESTS = {
  Directory: 'isDirectory',
  File: 'isFile',
  Socket: 'isSocket',
  CharDevice: 'isCharacterDevice',
  BlockDevice: 'isBlockDevice',
} as const

/**
 * Sees that a path of the host is what a hostPath volume says it is, and makes it where it says so.
 *
 * @throws `WrongType`
 */
export async function requireType(file: string, type: string): Promise<void> {
  if (!path.isAbsolute(file) || file.split('/').includes('..')) {
    throw volumeErrors.UnsafePath({ object: `path ${file}`, expected: 'an absolute path' })
  }
  const present = await statOf(file)
  if (present === undefined) {
    // Without a type nothing is demanded; a directory is what Docker would make.
    if (type === '' || type === 'DirectoryOrCreate') {
      await mkdir(file, { recursive: true, mode: 0o755 })
      return
    }
    if (type === 'FileOrCreate') {
      await writeFile(file, '', { mode: 0o644, flag: 'a' })
      return
    }
  }
  const wanted = type.replace(/OrCreate$/, '') as keyof typeof TESTS
  if (type === '' || (present !== undefined && wanted in TESTS && present[TESTS[wanted]]())) return
  throw volumeErrors.WrongType({ object: `path ${file}`, expected: type })
}

/** Symbolic links on the way to a part of a volume (as many as the kernel follows). */
const MOST_LINKS = 40

function partsOf(place: string): string[] {
  return place.split('/').filter(part => part !== '' && part !== '.')
}

/** What has this name in an open directory; a directory is made where there is nothing. */
async function openOrMake(reference: string): Promise<FileHandle> {
  try {
    return await openItself(reference)
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
  }
  await mkdir(reference, { mode: 0o755 })
  return await openItself(reference)
}

/**
 * A part of a volume. What leads out of the volume by symbolic links is refused; what is not there is made a directory.
 * Containers that have the volume may change it meanwhile, so each step is taken from the directory that the one before
 * opened, and no link is followed by the kernel.
 *
 * @returns the directory or file, opened without its content
 * @throws `UnsafePath`
 */
export async function openSubPath(volume: string, subPath: string): Promise<FileHandle> {
  const refuse = () =>
    volumeErrors.UnsafePath({ object: `subPath ${subPath}`, expected: 'a path below the volume' })
  if (path.isAbsolute(subPath) || subPath.split('/').includes('..')) throw refuse()
  const root = await realpath(volume)
  let held = await openItself(root)
  let inside: string[] = []
  let waiting = partsOf(subPath)
  let links = 0
  try {
    for (let [part] = waiting; part !== undefined; [part] = waiting) {
      const reference = `/proc/self/fd/${held.fd}/${part}`
      const next = await openOrMake(reference)
      waiting = waiting.slice(1)
      if (!(await next.stat()).isSymbolicLink()) {
        await held.close()
        held = next
        inside.push(part)
        continue
      }
      await next.close()
      links += 1
      const whole = path.resolve(root, ...inside, await readlink(reference))
      if (links > MOST_LINKS || !(whole === root || whole.startsWith(`${root}/`))) throw refuse()
      waiting = [...partsOf(path.relative(root, whole)), ...waiting]
      inside = []
      await held.close()
      held = await openItself(root)
    }
    return held
  } catch (error) {
    await held.close()
    throw error
  }
}
