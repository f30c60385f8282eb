/** Parts of volumes, where containers mount them from: pinned, so that nobody leads the mount elsewhere meanwhile. */
import { mkdir, rmdir, unlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { runCommand, systemErrorCode } from '../../kit/index.ts'
import { unmountBelow } from './memory.ts'
import { openSubPath } from './places.ts'

async function removeMountPoint(place: string): Promise<void> {
  try {
    await rmdir(place)
  } catch (error) {
    const code = systemErrorCode(error)
    if (code === 'ENOTDIR') await unlink(place)
    else if (code !== 'ENOENT') throw error
  }
}

/**
 * Mounts a part of a volume at `place`, where whatever was mounted goes: containers that have that keep it.
 *
 * Docker mounts by path, a moment after anybody has looked at it; a container that has the volume could put a link to the
 * host there in between (CVE-2021-25741). What is opened stays what it is.
 *
 * @throws `UnsafePath`, `CommandFailed`
 */
export async function pinSubPath(volume: string, subPath: string, place: string): Promise<void> {
  const part = await openSubPath(volume, subPath)
  try {
    await mkdir(path.dirname(place), { recursive: true, mode: 0o700 })
    await unmountBelow(place)
    await removeMountPoint(place)
    if ((await part.stat()).isDirectory()) await mkdir(place)
    else await writeFile(place, '')
    await runCommand('mount', [
      '--no-canonicalize',
      '--rbind',
      // What is unmounted here later must not be unmounted in the volume.
      '--make-rslave',
      `/proc/${process.pid}/fd/${part.fd}`,
      place,
    ])
  } finally {
    await part.close()
  }
}
