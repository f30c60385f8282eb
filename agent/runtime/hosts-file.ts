/** The `/etc/hosts` that the containers of a pod share. */
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { makePrivateDirectory, systemErrorCode } from '../../kit/index.ts'

/** Undefined for what is no file, or not there. */
async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (['ENOENT', 'EISDIR'].includes(systemErrorCode(error) ?? '')) return undefined
    throw error
  }
}

/**
 * Sees that the file is there, before each container that is to have it: where it is not, Docker would make a directory in its
 * place, and no container could start any more.
 *
 * @param directory of the pod
 * @returns where the file is
 */
export async function ensureHostsFile(directory: string, text: string): Promise<string> {
  const file = path.join(directory, 'hosts')
  // Containers that run hold on to the file that they have.
  if ((await readText(file)) === text) return file
  await makePrivateDirectory(directory)
  const next = `${file}.next`
  await writeFile(next, text, { mode: 0o644 })
  await rm(file, { recursive: true, force: true })
  await rename(next, file)
  return file
}
