/**
 * A directory whose files change all at once: they are in a directory of their own below it, `..data` leads there, and the names
 * that containers see lead through `..data` (as the kubelet's atomic writer does it, and programs expect it).
 */
import { randomBytes } from 'node:crypto'
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import path from 'node:path'
import { volumeErrors } from './errors.ts'

export interface ContentFile {
  /** Relative; may have directories. */
  readonly path: string
  readonly data: Buffer
  /** Permissions. */
  readonly mode: number
}

export interface Ownership {
  readonly user?: number
  readonly group?: number
}

const DATA = '..data'

/** Refuses paths that lead out, and those that would be taken for ours. */
function requireInside(file: string): void {
  const parts = file.split('/')
  const wrong =
    file === '' ||
    path.isAbsolute(file) ||
    parts.includes('..') ||
    parts.includes('') ||
    file.startsWith('..')
  if (wrong) throw volumeErrors.UnsafePath({ object: `file ${file}`, expected: 'a path below the volume' })
}

async function own(target: string, { user, group }: Ownership): Promise<void> {
  if (user !== undefined || group !== undefined) await chown(target, user ?? 0, group ?? 0)
}

/** Makes the directories above a file, with the owner of the content. */
async function makeParents(root: string, file: string, ownership: Ownership): Promise<void> {
  const parts = path.dirname(file).split('/')
  for (let count = 1; count <= parts.length && parts[0] !== '.'; count += 1) {
    const directory = path.join(root, ...parts.slice(0, count))
    await mkdir(directory, { recursive: true, mode: 0o755 })
    await chmod(directory, 0o755)
    await own(directory, ownership)
  }
}

/** Where `..data` leads; undefined when there is none. */
async function present(directory: string): Promise<string | undefined> {
  try {
    return await readlink(path.join(directory, DATA))
  } catch {
    // Nothing was written yet.
    return undefined
  }
}

/** Whether something was written there before. */
export async function hasContent(directory: string): Promise<boolean> {
  return (await present(directory)) !== undefined
}

async function replaceLink(link: string, target: string): Promise<void> {
  const next = `${link}.tmp-${randomBytes(4).toString('hex')}`
  await symlink(target, next)
  await rename(next, link)
}

/**
 * Writes the content; who looks sees all of the old or all of the new.
 *
 * @throws `UnsafePath` for a file that would lie elsewhere
 */
export async function writeContent(
  directory: string,
  files: readonly ContentFile[],
  ownership: Ownership,
): Promise<void> {
  for (const file of files) requireInside(file.path)
  const before = await present(directory)
  const name = `..${new Date().toISOString().replaceAll(/[-:T]/g, '_').slice(0, 19)}.${randomBytes(5).toString('hex')}`
  const fresh = path.join(directory, name)
  await mkdir(fresh, { mode: 0o755, recursive: true })
  await chmod(directory, 0o755)
  await chmod(fresh, 0o755)
  await own(directory, ownership)
  await own(fresh, ownership)
  for (const { path: file, data, mode } of files) {
    await makeParents(fresh, file, ownership)
    const target = path.join(fresh, file)
    await writeFile(target, data, { mode: 0o600 })
    await own(target, ownership)
    await chmod(target, mode)
  }
  await replaceLink(path.join(directory, DATA), name)
  const wanted = new Set(files.map(file => file.path.split('/')[0] ?? ''))
  for (const top of wanted) {
    const link = path.join(directory, top)
    const there = await lstat(link).catch(() => undefined)
    if (there === undefined) await symlink(`${DATA}/${top}`, link)
  }
  for (const other of await readdir(directory)) {
    const stays = wanted.has(other) || other === DATA || other === name
    if (!stays) await rm(path.join(directory, other), { recursive: true, force: true })
  }
  if (before !== undefined && before !== name)
    await rm(path.join(directory, before), { recursive: true, force: true })
}
