/**
 * Fills a file system of its own with a store, then makes room and goes on. Runs in its own mount namespace, so that
 * nothing is left of the file system. Prints one line of JSON.
 *
 * Usage: unshare --mount --propagation private node disk-full-writer.ts DIRECTORY
 */
import { rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { createLogger, isDroverError, runCommand } from '../../../kit/index.ts'
import { openStore, parseSpaceId } from '../../../server/store/index.ts'

/** What happened. */
export interface DiskFullReport {
  /** Revisions acknowledged before the disk was full. */
  readonly written: number
  readonly error: { code: string; status: number; mend: string | undefined }
  /** The revision of the first write after room was made. */
  readonly next: number
  /** Revision and number of objects after a restart. */
  readonly revision: number
  readonly objects: number
}

const log = createLogger('writer', 'silent')
const C1 = parseSpaceId('c1')

async function fill(directory: string): Promise<DiskFullReport> {
  await runCommand('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', directory])
  const database = path.join(directory, 'store.db')
  const ballast = path.join(directory, 'ballast')
  await writeFile(ballast, Buffer.alloc(2 * 1024 * 1024))
  const store = await openStore({ database, log })
  const space = await store.createSpace(C1)
  const create = (name: string) =>
    space.create({ kind: 'pods', namespace: '', name }, () => 'x'.repeat(10_000))
  let written = 0
  let error: unknown
  while (error === undefined) {
    await create(`p${written}`).then(
      () => {
        written += 1
      },
      (reason: unknown) => {
        error = reason
      },
    )
  }
  if (!isDroverError(error)) throw error
  await rm(ballast)
  const next = await create('next')
  await store.stop()
  const again = await openStore({ database, log })
  const { revision, objects } = (await again.openSpace(C1)).list('pods')
  await again.stop()
  const { code, status, mend } = error
  return { written, error: { code, status, mend }, next: next.revision, revision, objects: objects.length }
}

const [, script, directory] = process.argv
if (script === import.meta.filename && directory !== undefined) {
  process.stdout.write(JSON.stringify(await fill(directory)))
}
