/** What `writeFileDurably` leaves behind when its process ends in the middle. */
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { removeFileDurably } from './durable-file.ts'

/** Names that `writeFileDurably` gives to files until they are complete. */
const INTERRUPTED = /\.\d+\.\d+\.tmp$/

/**
 * Removes the unfinished files of earlier processes from `directory`; to be called before anything is written there.
 *
 * @returns the names of the complete files
 */
export async function removeInterruptedWrites(directory: string): Promise<string[]> {
  const names = await readdir(directory)
  for (const name of names.filter(name => INTERRUPTED.test(name))) {
    await removeFileDurably(path.join(directory, name))
  }
  return names.filter(name => !INTERRUPTED.test(name))
}
