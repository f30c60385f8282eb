/** Builds the plugin executable from its sources, with the compiler that npm installed; needs no network. */
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { runCommand, systemErrorCode } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'

const PLUGIN_DIRECTORY = path.join(import.meta.dirname, 'plugin')

/** Milliseconds that the compiler may take: under a second on an idle machine. */
const BUILD_DEADLINE = 120_000

/**
 * No file beside the process may change what the plugin does: it runs as root, in whatever directory its runtime is.
 */
const COMPILER_OPTIONS = [
  '--compile',
  '--minify',
  // Nothing is left to be parsed when it starts.
  '--bytecode',
  '--format=cjs',
  '--no-compile-autoload-dotenv',
  '--no-compile-autoload-bunfig',
]

interface Compiler {
  readonly file: string
  readonly version: string
}

async function findCompiler(): Promise<Compiler> {
  const packageName = `@oven/bun-linux-${process.arch === 'arm64' ? 'aarch64' : process.arch}`
  try {
    const manifest = createRequire(import.meta.url).resolve(`${packageName}/package.json`)
    const { version } = JSON.parse(await readFile(manifest, 'utf8')) as { version: string }
    return { file: path.join(path.dirname(manifest), 'bin', 'bun'), version }
  } catch (cause) {
    throw networkErrors.PluginCompilerMissing({ object: `npm package ${packageName}`, cause })
  }
}

/** Changes when the executable would. */
async function sourcesHash(compiler: Compiler): Promise<string> {
  const hash = createHash('sha256').update(`${compiler.version} ${COMPILER_OPTIONS.join(' ')}`)
  const own = (await readdir(PLUGIN_DIRECTORY)).toSorted().map(name => path.join(PLUGIN_DIRECTORY, name))
  for (const file of [...own, path.join(import.meta.dirname, 'specification.ts')]) {
    hash.update(`\0${path.basename(file)}\0`).update(await readFile(file))
  }
  return hash.digest('hex')
}

async function isBuiltFrom(hash: string, outputFile: string): Promise<boolean> {
  try {
    await stat(outputFile)
    return (await readFile(`${outputFile}.sources`, 'utf8')) === hash
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false
    throw error
  }
}

/**
 * Builds the plugin into `outputFile`, unless it is there already and was built from the same sources.
 *
 * The hash of the sources is kept beside it. The old executable is replaced in one step, so that runtimes may go on
 * starting it.
 *
 * @returns whether it had to be built
 * @throws `PluginCompilerMissing`, `CommandFailed` with what the compiler said
 */
export async function buildPlugin(outputFile: string): Promise<boolean> {
  const compiler = await findCompiler()
  const hash = await sourcesHash(compiler)
  if (await isBuiltFrom(hash, outputFile)) return false
  await mkdir(path.dirname(outputFile), { recursive: true })
  // Random, not the process's id: builders in different process namespaces may have the same one.
  const temporary = `${outputFile}.${randomUUID()}.tmp`
  try {
    await runCommand(
      compiler.file,
      ['build', ...COMPILER_OPTIONS, '--outfile', temporary, path.join(PLUGIN_DIRECTORY, 'main.ts')],
      { deadline: BUILD_DEADLINE },
    )
    await rename(temporary, outputFile)
  } finally {
    await rm(temporary, { force: true })
  }
  await writeFile(`${outputFile}.sources`, hash)
  return true
}
