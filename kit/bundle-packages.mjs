/**
 * Makes `build/packages.mjs`, the one file that `#packages` in package.json names. npm runs this after each install,
 * with whatever Node the system has: therefore JavaScript.
 * Where there is no bundler for the platform, the file refers to the packages themselves: slower, never different.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const source = path.join(root, 'kit/packages.ts')
const target = path.join(root, 'build/packages.mjs')
const unfinished = `${target}.${process.pid}.mjs`
const architecture = process.arch === 'arm64' ? 'aarch64' : process.arch
const bundler = path.join(root, `node_modules/@oven/bun-${process.platform}-${architecture}/bin/bun`)

mkdirSync(path.dirname(target), { recursive: true })
const { status } = spawnSync(
  bundler,
  ['build', source, '--target=node', '--format=esm', `--outfile=${unfinished}`],
  { cwd: root, stdio: ['ignore', 'ignore', 'inherit'], timeout: 60_000 },
)
if (status !== 0) writeFileSync(unfinished, "export * from '../kit/packages.ts'\n")
renameSync(unfinished, target)
