/** `npm ci` refuses a lock file without the packages of other platforms, which some registries do not have. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'

interface Entry {
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const file = path.resolve(import.meta.dirname, '../../../package-lock.json')

t.test('every optional dependency has an entry', async t => {
  const { packages } = JSON.parse(readFileSync(file, 'utf8')) as { packages: Readonly<Record<string, Entry>> }
  for (const [place, entry] of Object.entries(packages)) {
    for (const name of Object.keys(entry.optionalDependencies ?? {})) {
      const found = packages[`${place}/node_modules/${name}`] ?? packages[`node_modules/${name}`]
      t.ok(found, `${place === '' ? 'drover' : place} → ${name}`)
    }
  }
})
