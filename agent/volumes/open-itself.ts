/** Files and directories that somebody else may replace at any moment: once opened, they stay what they are. */
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

/** open(2): O_PATH, which Node does not name. */
const PATH_ONLY = 0o10000000

/**
 * Opens what a path leads to itself: neither what it links to, nor its content. `/proc/self/fd/N` leads there then,
 * whatever becomes of the path.
 */
export async function openItself(place: string): Promise<FileHandle> {
  return await open(place, PATH_ONLY | constants.O_NOFOLLOW)
}
