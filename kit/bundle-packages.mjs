/**
 * Makes the files in `build/` that `#packages` and `#dockerode` in package.json name, each of a list of packages. npm runs
 * this after each install, with whatever Node the system has: therefore JavaScript. The bundler runs the same file a
 * second time, because it leaves parts away only for a program of its own.
 * Where there is no bundler for the platform, the files refer to the packages themselves: slower, never different.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The launcher makes them anew when a source, or this file, is newer than the last of them. */
const BUNDLES = [
  { source: 'kit/packages.ts', target: 'build/packages.mjs', absent: [] },
  {
    source: 'agent/docker/dockerode.ts',
    target: 'build/dockerode.mjs',
    // For engines that are reached by SSH, and for BuildKit: two thirds of all that an agent would have in memory.
    absent: ['ssh2', '@grpc/grpc-js', '@grpc/proto-loader', 'protobufjs'],
  },
]

/** Puts empty modules in the place of packages: whoever uses them after all gets a `TypeError`. */
function leaveAway(names) {
  return {
    name: 'leave away',
    setup(build) {
      build.onResolve({ filter: /^[^.]/ }, ({ path: name }) =>
        names.includes(name) ? { path: name, namespace: 'absent' } : undefined,
      )
      build.onLoad({ filter: /.*/, namespace: 'absent' }, () => ({
        contents: 'module.exports = {}',
        loader: 'js',
      }))
    },
  }
}

/** Inside of the bundler. */
async function bundle({ source, absent }, file) {
  const { success, logs, outputs } = await globalThis.Bun.build({
    entrypoints: [path.join(root, source)],
    target: 'node',
    format: 'esm',
    // Names stay: those of errors and functions are shown to people.
    minify: { whitespace: true, syntax: true },
    plugins: [leaveAway(absent)],
  })
  if (!success) throw new AggregateError(logs, `${source} was not bundled`)
  // Text with one character beyond Latin-1 takes two bytes for each of them in memory.
  const text = (await outputs[0].text()).replace(
    /[^\0-\x7f]/g,
    character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  await globalThis.Bun.write(file, text)
}

function bundleBy(bundler, index, file) {
  const { status } = spawnSync(bundler, [fileURLToPath(import.meta.url), String(index), file], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: 60_000,
  })
  return status === 0
}

function bundleAll() {
  const architecture = process.arch === 'arm64' ? 'aarch64' : process.arch
  const bundler = path.join(root, `node_modules/@oven/bun-${process.platform}-${architecture}/bin/bun`)
  mkdirSync(path.join(root, 'build'), { recursive: true })
  const unfinished = mkdtempSync(path.join(root, 'build/bundles-'))
  try {
    for (const [index, { source, target }] of BUNDLES.entries()) {
      const file = path.join(unfinished, 'bundle.mjs')
      if (!bundleBy(bundler, index, file)) writeFileSync(file, `export * from '../${source}'\n`)
      renameSync(file, path.join(root, target))
    }
  } finally {
    rmSync(unfinished, { recursive: true })
  }
}

if (globalThis.Bun === undefined) bundleAll()
else await bundle(BUNDLES[Number(process.argv[2])], process.argv[3])
