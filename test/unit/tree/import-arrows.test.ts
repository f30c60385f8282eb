/** Design §2: imports point one way, and nobody imports past a folder's index.ts. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'

const root = path.resolve(import.meta.dirname, '../../..')

/** Which rooms each top-level room may import from, besides itself. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  kit: [],
  protocol: ['kit'],
  dns: ['kit', 'protocol'],
  lb: ['kit', 'protocol'],
  netplugins: ['kit', 'protocol'],
  images: ['kit'],
  cli: ['kit', 'protocol', 'images'],
  agent: ['kit', 'protocol', 'dns', 'lb', 'netplugins', 'images'],
  server: ['kit', 'protocol', 'dns', 'lb', 'netplugins'],
}

/** Pairs of rooms that must not know each other although they share a top-level room. */
const FORBIDDEN: readonly (readonly [string, string])[] = [
  ['server/master', 'server/controller'],
  ['server/controller', 'server/master'],
  ['server/master', 'server/netes'],
]

function sourceFiles(directory: string): string[] {
  return readdirSync(path.join(root, directory), { withFileTypes: true }).flatMap(entry => {
    const file = path.join(directory, entry.name)
    if (entry.isDirectory())
      return entry.name === 'gen' || entry.name === 'node_modules' ? [] : sourceFiles(file)
    return entry.name.endsWith('.ts') ? [file] : []
  })
}

function importsOf(file: string): string[] {
  const text = readFileSync(path.join(root, file), 'utf8')
  const found = [
    ...text.matchAll(/(?:^|\n)(?:import|export)\s+(?:[\w*\s,]*\{[^}]*\}|[\w*\s,]+)\s*from\s*'(\.[^']+)'/g),
    ...text.matchAll(/(?:^|\n)import\s+'(\.[^']+)'|import\(\s*'(\.[^']+)'\s*\)/g),
  ]
  return found.map(match => path.normalize(path.join(path.dirname(file), match[1] ?? match[2] ?? '')))
}

/** The folder whose index.ts speaks for `file`: its own folder. */
function folderOf(file: string): string {
  return path.dirname(file)
}

t.test('imports point one way', async t => {
  for (const room of Object.keys(ALLOWED)) {
    for (const file of sourceFiles(room)) {
      for (const target of importsOf(file)) {
        const other = target.split(path.sep)[0] ?? ''
        if (other === room) continue
        t.ok(ALLOWED[room]?.includes(other), `${file} may import ${target}`)
      }
    }
  }
})

t.test('loose coupling inside the server', async t => {
  for (const [from, to] of FORBIDDEN) {
    for (const file of sourceFiles('server').filter(file => file.startsWith(`${from}/`))) {
      for (const target of importsOf(file))
        t.notOk(target.startsWith(`${to}/`), `${file} must not import ${target}`)
    }
  }
})

t.test('nobody imports past an index.ts', async t => {
  for (const room of Object.keys(ALLOWED)) {
    for (const file of sourceFiles(room)) {
      for (const target of importsOf(file)) {
        const folder = folderOf(target)
        const inside = `${folderOf(file)}${path.sep}`.startsWith(`${folder}${path.sep}`)
        t.ok(
          inside || path.basename(target) === 'index.ts' || target.includes('/gen/'),
          `${file} imports ${target}`,
        )
      }
    }
  }
})

t.test('no file is called utils, helpers or common', async t => {
  for (const file of Object.keys(ALLOWED).flatMap(sourceFiles)) {
    t.notMatch(path.basename(file), /^(utils?|helpers?|common)\.ts$/)
  }
})
