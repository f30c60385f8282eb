/** Directories and files of the host that become volumes, and parts of volumes. */
import { lstat, mkdir, realpath, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { systemErrorCode } from '../../kit/index.ts'
import { volumeErrors } from './errors.ts'

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

/**
 * A part of a volume. What leads out of the volume by symbolic links is refused; what is not there is made a directory.
 *
 * @throws `UnsafePath`
 */
export async function resolveSubPath(volume: string, subPath: string): Promise<string> {
  const refuse = () =>
    volumeErrors.UnsafePath({ object: `subPath ${subPath}`, expected: 'a path below the volume' })
  if (path.isAbsolute(subPath) || subPath.split('/').includes('..')) throw refuse()
  const root = await realpath(volume)
  const inside = (place: string) => place === root || place.startsWith(`${root}/`)
  let place = root
  for (const part of subPath.split('/').filter(each => each !== '' && each !== '.')) {
    const next = path.join(place, part)
    try {
      await lstat(next)
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error
      await mkdir(next, { mode: 0o755 })
    }
    place = await realpath(next)
    if (!inside(place)) throw refuse()
  }
  return place
}
