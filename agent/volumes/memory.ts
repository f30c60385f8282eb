/** File systems in memory: for what must not be written to disk. */
import { mkdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { runCommand } from '../../kit/index.ts'

/** Where something is mounted, innermost last, from the text of `/proc/self/mountinfo` (proc(5)). */
export function mountPoints(text: string): readonly string[] {
  return text
    .split('\n')
    .map(line => line.split(' ')[4] ?? '')
    .filter(place => place !== '')
    .map(place =>
      place.replace(/\\(\d{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8))),
    )
}

async function mounts(): Promise<readonly string[]> {
  return mountPoints(await readFile('/proc/self/mountinfo', 'utf8'))
}

/**
 * Sees that a directory is a file system in memory.
 *
 * @param size bytes; half of the memory when absent
 */
export async function ensureMemory(directory: string, mode: string, size?: number): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  if ((await mounts()).includes(path.resolve(directory))) return
  const options = [
    `mode=${mode}`,
    'nosuid',
    'nodev',
    ...(size === undefined ? [] : [`size=${Math.max(4096, Math.round(size))}`]),
  ]
  await runCommand('mount', ['-t', 'tmpfs', '-o', options.join(','), 'tmpfs', directory])
}

/** Unmounts everything at and below a directory; containers that still have it keep it. */
export async function unmountBelow(directory: string): Promise<void> {
  const root = path.resolve(directory)
  const found = (await mounts()).filter(place => place === root || place.startsWith(`${root}/`))
  for (const place of found.toReversed()) await runCommand('umount', ['--lazy', place])
}

/** Unmounts and removes a directory. */
export async function releaseMemory(directory: string): Promise<void> {
  await unmountBelow(directory)
  await rm(directory, { recursive: true, force: true })
}
