/** Which test files there are. */
import { readdir } from 'node:fs/promises'
import path from 'node:path'

export const ROOT = path.resolve(import.meta.dirname, '../..')

async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true })
  const nested = await Promise.all(
    entries.map(entry => {
      const place = path.join(directory, entry.name)
      return entry.isDirectory() ? filesBelow(place) : Promise.resolve([place])
    }),
  )
  return nested.flat()
}

/** Every test file, relative to the root, in a stable order. */
export async function allTestFiles(): Promise<string[]> {
  const files = await filesBelow(path.join(ROOT, 'test'))
  return files
    .filter(file => file.endsWith('.test.ts'))
    .map(file => path.relative(ROOT, file))
    .sort()
}

/** Files that a suite's name means: a folder below `test/`, or a file. */
export function filesOfSuite(files: readonly string[], suite: string): string[] {
  const wanted = suite
    .replace(/^\.\//, '')
    .replace(/^test\//, '')
    .replace(/\/$/, '')
  return files.filter(file => file === `test/${wanted}` || file.startsWith(`test/${wanted}/`))
}
