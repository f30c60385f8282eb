/** One process per data directory, held by the kernel: it ends with the process, however that ends. */
import { spawn } from 'node:child_process'
import { type FileHandle, open, readFile } from 'node:fs/promises'
import path from 'node:path'
import { kitErrors } from './errors.ts'

/** A held lock. `release` gives it back early; the kernel does when the process ends. */
export interface DirectoryLock {
  release(): Promise<void>
}

/**
 * Locks `directory` for this process by flock(2) on `<name>.lock` in it, which holds our process id.
 *
 * flock belongs to the open file description, so `flock(1)` run with our descriptor takes it for us.
 *
 * @throws `DirectoryInUse` naming the process that holds it
 */
export async function lockDirectory(directory: string, name: string): Promise<DirectoryLock> {
  const file = path.join(directory, `${name}.lock`)
  const handle: FileHandle = await open(file, 'a+', 0o600)
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    const flock = spawn('flock', ['--exclusive', '--nonblock', '3'], {
      stdio: ['ignore', 'ignore', 'ignore', handle.fd],
    })
    flock.once('error', reject)
    flock.once('exit', resolve)
  })
  if (exitCode !== 0) {
    const owner = (await readFile(file, 'utf8').catch(() => '')).trim()
    await handle.close()
    throw kitErrors.DirectoryInUse({
      object: directory,
      message: `is in use by another ${name}${owner === '' ? '' : ` (process ${owner})`}`,
    })
  }
  await handle.truncate(0)
  await handle.write(`${process.pid}\n`)
  return { release: () => handle.close() }
}
