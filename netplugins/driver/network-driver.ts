/**
 * Tells container runtimes of this host about the network: a configuration list and the plugin executable in the
 * directories where they look for them.
 */
import { chmod, copyFile, link, mkdir, readFile, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { removeFileDurably, systemErrorCode, writeFileDurably } from '../../kit/index.ts'
import { PLUGIN_TYPE } from '../cni/index.ts'

/** The first file in alphabetical order is the one that runtimes take. */
const LIST_FILE = '10-drover.conflist'

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
}

/** The list: older runtimes read `cniVersion`, newer ones choose from `cniVersions`. */
function configurationList(options: NetworkDriverOptions): string {
  const list = {
    cniVersion: '1.0.0',
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

export class NetworkDriver {
  readonly #options: NetworkDriverOptions

  constructor(options: NetworkDriverOptions) {
    this.#options = options
  }

  /** Puts plugin and list in place, each in one step; the list last, because it is what runtimes wait for. */
  async install(): Promise<void> {
    const { configurationDirectory, binaryDirectory, pluginFile } = this.#options
    await mkdir(configurationDirectory, { recursive: true })
    await mkdir(binaryDirectory, { recursive: true })
    await installPlugin(pluginFile, path.join(binaryDirectory, PLUGIN_TYPE))
    const list = configurationList(this.#options)
    const file = path.join(configurationDirectory, LIST_FILE)
    if ((await contentOf(file)) !== list) await writeFileDurably(file, list)
  }

  /** Removes what `install` put there, and nothing else. */
  async uninstall(): Promise<void> {
    const { configurationDirectory, binaryDirectory } = this.#options
    await removeFileDurably(path.join(configurationDirectory, LIST_FILE))
    await removeFileDurably(path.join(binaryDirectory, PLUGIN_TYPE))
  }
}
