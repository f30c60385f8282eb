/**
 * The configurations of others in a directory of which runtimes take the first file: those that would come before ours
 * are set aside under a name that runtimes pass over, and put back when ours go.
 */
import { readdir, rename } from 'node:fs/promises'
import path from 'node:path'
import { systemErrorCode } from '../../kit/index.ts'

/** The endings that runtimes look for. */
const ENDINGS = ['.conflist', '.conf', '.json']

const ASIDE = '.drover-aside'

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return []
    throw error
  }
}

/**
 * Sets aside what would be taken instead of our first file, or is called like one of ours.
 *
 * @returns the names that were set aside now
 */
export async function setAside(directory: string, ours: readonly string[]): Promise<string[]> {
  const first = ours.toSorted()[0] ?? ''
  const inTheWay = (await namesIn(directory)).filter(
    name => ENDINGS.includes(path.extname(name)) && !ours.includes(name) && name < first,
  )
  for (const name of inTheWay)
    await rename(path.join(directory, name), path.join(directory, `${name}${ASIDE}`))
  return inTheWay
}

/** Sets one file aside; none is fine. */
export async function setAsideOne(directory: string, name: string): Promise<void> {
  try {
    await rename(path.join(directory, name), path.join(directory, `${name}${ASIDE}`))
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
  }
}

/** Puts back what was set aside, unless somebody made a new one meanwhile. */
export async function putBack(directory: string): Promise<void> {
  const names = await namesIn(directory)
  for (const aside of names.filter(name => name.endsWith(ASIDE))) {
    const name = aside.slice(0, -ASIDE.length)
    if (!names.includes(name)) await rename(path.join(directory, aside), path.join(directory, name))
  }
}
