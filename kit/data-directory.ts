/** The directory in which a daemon keeps everything: one process at a time, and only of a version that understands it. */
import path from 'node:path'
import { type DirectoryLock, lockDirectory } from './directory-lock.ts'
import { makePrivateDirectory, readJsonFile, writeFileDurably } from './durable-file.ts'
import { kitErrors } from './errors.ts'
import { Type, validatorOf } from './schema.ts'

const formatFile = validatorOf(Type.Object({ format: Type.Integer({ minimum: 1 }) }))

/**
 * Makes the directory if needed, locks it for this process, and checks or writes its format.
 *
 * @param owner the daemon: `server`, `agent`
 * @param format raised when an older version would misread what a newer one wrote
 * @throws `DirectoryInUse`; `NewerVersion`, before anything in it was changed
 */
export async function openDataDirectory(
  directory: string,
  owner: string,
  format: number,
): Promise<DirectoryLock> {
  await makePrivateDirectory(directory)
  const lock = await lockDirectory(directory, owner)
  try {
    const file = path.join(directory, `${owner}-format.json`)
    const present = await readJsonFile(file, formatFile)
    if (present === undefined) await writeFileDurably(file, JSON.stringify({ format }))
    else if (present.format > format) {
      throw kitErrors.NewerVersion({
        object: directory,
        message: `was written by a newer version (format ${present.format})`,
        expected: `format ${format} or older`,
      })
    }
    return lock
  } catch (error) {
    await lock.release()
    throw error
  }
}
