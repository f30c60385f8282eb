/**
 * Tells container runtimes of this host about the network: a configuration list and the plugin executable in the
 * directories where they look for them.
 */
import { chmod, copyFile, link, lstat, mkdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import path from 'node:path'
import {
  isDroverError,
  readJsonFile,
  removeFileDurably,
  type Static,
  systemErrorCode,
  Type,
  validatorOf,
  writeFileDurably,
} from '../../kit/index.ts'
import { PLUGIN_TYPE } from '../cni/index.ts'
import { networkErrors } from '../errors.ts'
import { putBack, setAside, setAsideOne } from './displaced-files.ts'
import { type ExternalConfiguration, externalFiles, externalPlugins } from './external-configuration.ts'

/** The first file in alphabetical order is the one that runtimes take. */
const LIST_FILE = '10-drover.conflist'

/** What is ours of the two directories; without an ending that runtimes look for. */
const RECORD_FILE = '.drover-driver'

/** Where hosts have plugins of others. */
const PLUGIN_DIRECTORIES = ['/opt/cni/bin', '/usr/lib/cni', '/usr/libexec/cni']

const installedSchema = Type.Object({
  /** Names of configurations. */
  files: Type.Array(Type.String()),
  /** Names of plugins of others that were linked to. */
  links: Type.Array(Type.String()),
})

type Installed = Static<typeof installedSchema>

const installed = validatorOf(installedSchema)

export interface NetworkDriverOptions {
  /** Where runtimes look for configuration lists, e.g. `/etc/cni/net.d`. */
  readonly configurationDirectory: string
  /** Where they look for plugins, e.g. `/opt/cni/bin`. */
  readonly binaryDirectory: string
  /** The plugin as it was built; linked, or copied to another file system. */
  readonly pluginFile: string
  /** The agent's CNI socket. */
  readonly socket: string
  /** What the network is called in the list. */
  readonly networkName: string
  /** Labels of this host, which configurations of others may refer to. */
  readonly hostLabels: () => Readonly<Record<string, string>>
  /** Plugins that runtimes call beside those of the list, linked to where the host has them. */
  readonly companions?: readonly string[]
  /** Where plugins of others are looked for; where distributions put them when absent. */
  readonly pluginDirectories?: readonly string[]
}

/**
 * The list. Runtimes of before 1.1.0 read `cniVersion` alone, and those of before 1.0.0 (kubelets with Docker in them,
 * containerd until 1.5) can read no newer result; newer ones choose from `cniVersions`.
 */
function configurationList(options: NetworkDriverOptions): string {
  const list = {
    cniVersion: '0.4.0',
    cniVersions: ['0.4.0', '1.0.0', '1.1.0'],
    name: options.networkName,
    plugins: [
      {
        type: PLUGIN_TYPE,
        socket: options.socket,
        capabilities: { portMappings: true, ips: true, mac: true, bandwidth: true },
      },
    ],
  }
  return `${JSON.stringify(list, undefined, 2)}\n`
}

async function contentOf(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Whether `target` is `source`: the same file by a hard link, or a copy that carries its time. */
async function isInstalled(source: string, target: string): Promise<boolean> {
  const from = await stat(source)
  const to = await stat(target).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  })
  if (to === undefined) return false
  const isSame = from.dev === to.dev && from.ino === to.ino
  return isSame || (from.size === to.size && to.mtimeMs >= from.mtimeMs)
}

async function installPlugin(source: string, target: string): Promise<void> {
  if (await isInstalled(source, target)) return
  const temporary = `${target}.${process.pid}.tmp`
  await rm(temporary, { force: true })
  try {
    await link(source, temporary).catch(async (error: unknown) => {
      const code = systemErrorCode(error)
      if (code !== 'EXDEV' && code !== 'EPERM' && code !== 'EMLINK') throw error
      await copyFile(source, temporary)
      await chmod(temporary, 0o755)
    })
    await rename(temporary, target)
  } finally {
    await rm(temporary, { force: true })
  }
}

async function findPlugin(type: string, directories: readonly string[]): Promise<string | undefined> {
  for (const directory of directories) {
    const source = path.join(directory, type)
    if ((await stat(source).catch(() => undefined))?.isFile()) return source
  }
  return undefined
}

async function linkPlugin(type: string, directories: readonly string[], target: string): Promise<void> {
  const source = await findPlugin(type, directories)
  if (source === undefined) {
    throw networkErrors.PluginMissing({
      object: `CNI plugin ${type}`,
      expected: `a program of that name in ${directories.join(' or ')}`,
      mend: 'install the package that brings it on this host',
    })
  }
  const temporary = `${target}.${process.pid}.tmp`
  await rm(temporary, { force: true })
  await symlink(source, temporary)
  await rename(temporary, target)
}

export class NetworkDriver {
  readonly #options: NetworkDriverOptions

  constructor(options: NetworkDriverOptions) {
    this.#options = options
  }

  /**
   * Puts plugins and lists in place, each in one step; the lists last, because they are what runtimes wait for. What was
   * installed for another choice goes, and what is not ours and would be taken instead is set aside.
   *
   * @param external somebody else's plugins instead of ours
   * @throws `InvalidCniConfiguration`, `PluginMissing` (what was there before stays), the system's errors
   */
  async install(external?: ExternalConfiguration): Promise<void> {
    const { configurationDirectory, binaryDirectory, pluginFile, hostLabels } = this.#options
    const files =
      external === undefined
        ? new Map([[LIST_FILE, configurationList(this.#options)]])
        : externalFiles(external, hostLabels())
    const named =
      external === undefined ? [] : [...externalPlugins(external)].filter(type => type !== PLUGIN_TYPE)
    const types = [...new Set([...named, ...(await this.#presentCompanions())])]
    await mkdir(configurationDirectory, { recursive: true })
    await mkdir(binaryDirectory, { recursive: true })
    const before = await this.#installed()
    const names = [...files.keys()]
    const links = await this.#missingPlugins(types, before.links)
    await installPlugin(pluginFile, path.join(binaryDirectory, PLUGIN_TYPE))
    // Written before what it speaks of is there: whatever happens in between, nothing of ours is taken for another's.
    for (const name of names.filter(candidate => !before.files.includes(candidate)))
      await setAsideOne(configurationDirectory, name)
    await this.#record({
      files: [...new Set([...before.files, ...names])],
      links: [...new Set([...before.links, ...links])],
    })
    for (const type of links) await linkPlugin(type, this.#searched, path.join(binaryDirectory, type))
    for (const [name, text] of files) {
      const file = path.join(configurationDirectory, name)
      if ((await contentOf(file)) !== text) await writeFileDurably(file, text)
    }
    // Plugins stay: what they made for containers that are still there has to be undone by them.
    const kept = [...new Set([...before.links, ...links])]
    await this.#removeStale(before, names, kept)
    await setAside(configurationDirectory, names)
    await this.#record({ files: names, links: kept })
  }

  /** Removes what `install` put there, and puts back what it set aside. */
  async uninstall(): Promise<void> {
    const { configurationDirectory, binaryDirectory } = this.#options
    await this.#removeStale(await this.#installed(), [], [])
    await removeFileDurably(path.join(binaryDirectory, PLUGIN_TYPE))
    await putBack(configurationDirectory)
    await removeFileDurably(path.join(configurationDirectory, RECORD_FILE))
  }

  /** Other places than the runtime's own: a link there would be found again, and led to itself. */
  get #searched(): readonly string[] {
    const { binaryDirectory, pluginDirectories = PLUGIN_DIRECTORIES } = this.#options
    return pluginDirectories.filter(directory => path.resolve(directory) !== path.resolve(binaryDirectory))
  }

  async #presentCompanions(): Promise<string[]> {
    const present: string[] = []
    for (const type of this.#options.companions ?? [])
      if ((await findPlugin(type, this.#searched)) !== undefined) present.push(type)
    return present
  }

  /** Those that are not in the runtime's directory by somebody else's doing. */
  async #missingPlugins(types: readonly string[], linked: readonly string[]): Promise<string[]> {
    const missing: string[] = []
    for (const type of types) {
      const isThere = await lstat(path.join(this.#options.binaryDirectory, type)).catch(() => undefined)
      if (isThere === undefined || linked.includes(type)) missing.push(type)
    }
    return missing
  }

  async #removeStale(before: Installed, files: readonly string[], links: readonly string[]): Promise<void> {
    const { configurationDirectory, binaryDirectory } = this.#options
    for (const name of before.files)
      if (!files.includes(name)) await removeFileDurably(path.join(configurationDirectory, name))
    for (const type of before.links)
      if (!links.includes(type)) await removeFileDurably(path.join(binaryDirectory, type))
  }

  async #installed(): Promise<Installed> {
    const file = path.join(this.#options.configurationDirectory, RECORD_FILE)
    const record = await readJsonFile(file, installed).catch((error: unknown) => {
      if (isDroverError(error, 'CorruptFile')) return undefined
      throw error
    })
    return record ?? { files: [LIST_FILE], links: [] }
  }

  async #record(value: Installed): Promise<void> {
    const file = path.join(this.#options.configurationDirectory, RECORD_FILE)
    const text = JSON.stringify(value)
    if ((await contentOf(file)) !== text) await writeFileDurably(file, text)
  }
}
