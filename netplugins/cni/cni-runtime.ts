/**
 * The runtime's side of CNI: joins containers to the network that a directory configures, by executing its plugins
 * (specification 1.1.0, section 3). What the kubelet's container runtime does, for containers without one.
 */
import { isIPv6 } from 'node:net'
import { explainError, isDroverError, KeyedLock, type Logger } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import { formatArguments } from './arguments.ts'
import type { ValidAttachment } from './cni-handler.ts'
import type { ListedPlugin, NetworkList, PluginBandwidth, PortMapping } from './network-configuration.ts'
import { chooseVersion, isAtLeast, readNetworkList } from './network-list-files.ts'
import { runPlugin } from './plugin-command.ts'
import { ProcessGate } from './process-gate.ts'
import { type CniResult, parseResult } from './result.ts'
import { type CachedAttachment, ResultCache } from './result-cache.ts'
import { type CniCommand, type CniVersion, PLUGIN_TYPE } from './specification.ts'

/** Plugins at a time. More only wait for each other: ours for the kernel's lock of links, most for iptables'. */
const PROCESS_LIMIT = 8

export interface CniRuntimeOptions {
  /** Where network configuration lists are, e.g. `/etc/cni/net.d`: the first one counts. */
  readonly configurationDirectory: string
  /** Where plugins are, e.g. `/opt/cni/bin`. */
  readonly binaryDirectory: string
  /** Where results are kept between an ADD and its DEL. */
  readonly cacheDirectory: string
  readonly log: Logger
}

/** A container that is to join the network. */
export interface ContainerNetwork {
  /** Letters, digits, dots, underscores and hyphens; Docker's ids are. */
  readonly containerId: string
  /** File of its network namespace. */
  readonly namespace: string
  /** Usually `eth0`. */
  readonly interfaceName: string
  readonly portMappings?: readonly PortMapping[]
  /** An address that it must get, e.g. `10.42.0.77`. */
  readonly address?: string
  readonly mac?: string
  readonly bandwidth?: PluginBandwidth
  /** For plugins that want to know whose it is, as CNI_ARGS: `K8S_POD_NAME`, … */
  readonly arguments?: Readonly<Record<string, string>>
}

/** Everything that calls of one chain have in common. */
interface Chain {
  readonly list: NetworkList
  readonly version: CniVersion
  readonly containerId?: string
  readonly interfaceName?: string
  readonly namespace?: string
  readonly capabilities: Readonly<Record<string, unknown>>
  readonly arguments?: string | undefined
}

function capabilitiesOf(container: ContainerNetwork): Record<string, unknown> {
  const { portMappings = [], address, mac, bandwidth } = container
  return {
    // Plugins of others do not know what is meant without a protocol.
    ...(portMappings.length === 0
      ? {}
      : { portMappings: portMappings.map(mapping => ({ protocol: 'tcp', ...mapping })) }),
    ...(address === undefined ? {} : { ips: [address] }),
    ...(mac === undefined ? {} : { mac }),
    ...(bandwidth === undefined ? {} : { bandwidth }),
  }
}

/** The runtime's arguments for those capabilities that the plugin declares. */
function runtimeConfiguration(
  plugin: ListedPlugin,
  capabilities: Readonly<Record<string, unknown>>,
): Record<string, unknown> | undefined {
  const wanted = Object.entries(capabilities).filter(([name]) => plugin.capabilities?.[name] === true)
  return wanted.length === 0 ? undefined : Object.fromEntries(wanted)
}

/** A container's place in a network that plugins of others have made. */
export interface MadeAttachment extends ValidAttachment {
  readonly address: string
  /** A second one, of IPv6. */
  readonly address6?: string
  /** Empty when the plugins did not say. */
  readonly mac: string
}

function keyOf({ containerId, interfaceName }: ValidAttachment): string {
  return `${containerId}/${interfaceName}`
}

export class CniRuntime {
  readonly #options: CniRuntimeOptions
  readonly #cache: ResultCache
  readonly #locks = new KeyedLock('container')
  readonly #gate = new ProcessGate(PROCESS_LIMIT)
  /** What was made and not yet deleted; read when somebody first asks. */
  #made: Map<string, CachedAttachment> | undefined

  constructor(options: CniRuntimeOptions) {
    this.#options = options
    this.#cache = new ResultCache(options.cacheDirectory, options.log)
  }

  /**
   * Joins a container to the network. When one plugin of the chain fails, what the others made is undone.
   *
   * @throws the plugin's error by its own name (`PortInUse`, `AddressInUse`, `TryAgainLater`, …) or `PluginFailed`;
   *   `NetworkNotReady` without a configuration, `InvalidCniConfiguration`, `IncompatibleCniVersion`, `PluginMissing`
   */
  add(container: ContainerNetwork): Promise<CniResult> {
    const { containerId, interfaceName, namespace } = container
    return this.#locks.run(containerId, async () => {
      const list = await readNetworkList(this.#options.configurationDirectory)
      const capabilities = capabilitiesOf(container)
      const args = container.arguments && formatArguments(container.arguments)
      const chain: Chain = {
        list,
        version: chooseVersion(list),
        containerId,
        interfaceName,
        namespace,
        capabilities,
        arguments: args,
      }
      const result = await this.#addChain(chain)
      const made: CachedAttachment = {
        containerId,
        interfaceName,
        namespace,
        list,
        capabilities,
        ...(args === undefined ? {} : { arguments: args }),
        result,
      }
      await this.#cache.write(made)
      this.#known().set(keyOf(made), made)
      return parseResult(result, `network ${list.name}`)
    })
  }

  /**
   * Takes a container out of the network; what is not there any more is fine, and so is no network at all.
   *
   * @param namespace absent when the container's namespace is gone
   */
  delete(container: ValidAttachment & { readonly namespace?: string }): Promise<void> {
    const { containerId, interfaceName } = container
    return this.#locks.run(containerId, async () => {
      const cached = await this.#cache.read(containerId, interfaceName)
      const list = cached?.list ?? (await this.#currentList())
      if (list === undefined) return
      await this.#deleteChain(
        {
          list,
          version: chooseVersion(list),
          containerId,
          interfaceName,
          capabilities: cached?.capabilities ?? {},
          arguments: cached?.arguments,
          ...(container.namespace === undefined ? {} : { namespace: container.namespace }),
        },
        list.plugins,
        cached?.result,
      )
      await this.#cache.remove(containerId, interfaceName)
      this.#known().delete(keyOf(container))
    })
  }

  /**
   * What plugins of others have made and not yet deleted, also before a restart of this process. Of what ours has made, its
   * agent knows more.
   */
  attachmentsByOthers(): MadeAttachment[] {
    return [...this.#known().values()].flatMap(entry => {
      if (entry.list.plugins.some(plugin => plugin.type === PLUGIN_TYPE)) return []
      const { ips, interfaces } = parseResult(entry.result, `network ${entry.list.name}`)
      const [first, ...others] = ips
      if (first === undefined) return []
      const mac = first.interface === undefined ? undefined : interfaces[first.interface]?.mac
      const { containerId, interfaceName } = entry
      const [address = '', ...further] = [first, ...others].map(ip => ip.address.split('/')[0] ?? '')
      const address6 = further.find(isIPv6)
      return [
        {
          ...{ containerId, interfaceName, address, mac: mac ?? '' },
          ...(address6 === undefined ? {} : { address6 }),
        },
      ]
    })
  }

  #known(): Map<string, CachedAttachment> {
    this.#made ??= new Map(this.#cache.listNow().map(entry => [keyOf(entry), entry]))
    return this.#made
  }

  /**
   * Checks that what the ADD made is still there.
   *
   * @throws `UnknownContainer` for one that was never added, the plugin's error when something is wrong
   */
  check(containerId: string, interfaceName: string): Promise<void> {
    return this.#locks.run(containerId, async () => {
      const cached = await this.#cache.read(containerId, interfaceName)
      if (cached === undefined) {
        throw networkErrors.UnknownContainer({
          object: `container ${containerId} interface ${interfaceName}`,
        })
      }
      const chain: Chain = { ...cached, version: chooseVersion(cached.list) }
      if (cached.list.disableCheck === true || !isAtLeast(chain.version, '0.4.0')) return
      for (const plugin of cached.list.plugins) {
        await this.#run('CHECK', chain, plugin, { prevResult: cached.result })
      }
    })
  }

  /** Whether containers can be added now. @throws the plugin's error, `NetworkNotReady` */
  async status(): Promise<void> {
    const list = await readNetworkList(this.#options.configurationDirectory)
    const version = chooseVersion(list)
    if (!isAtLeast(version, '1.1.0')) return
    for (const plugin of list.plugins)
      await this.#run('STATUS', { list, version, capabilities: {} }, plugin, {})
  }

  /**
   * Deletes what was made for containers that are not among the `valid`: first what is remembered here, then what the
   * plugins know of.
   */
  async collectGarbage(valid: readonly ValidAttachment[]): Promise<void> {
    const list = await readNetworkList(this.#options.configurationDirectory)
    const isValid = (entry: CachedAttachment) =>
      valid.some(
        other => other.containerId === entry.containerId && other.interfaceName === entry.interfaceName,
      )
    for (const entry of await this.#cache.list()) {
      if (entry.list.name === list.name && !isValid(entry)) await this.delete(entry)
    }
    const version = chooseVersion(list)
    if (list.disableGC === true || !isAtLeast(version, '1.1.0')) return
    const attachments = valid.map(({ containerId, interfaceName }) => ({
      containerID: containerId,
      ifname: interfaceName,
    }))
    for (const plugin of list.plugins) {
      await this.#run('GC', { list, version, capabilities: {} }, plugin, {
        'cni.dev/valid-attachments': attachments,
      })
    }
  }

  /** The configured network; undefined when there is none, and so nothing to delete. */
  async #currentList(): Promise<NetworkList | undefined> {
    try {
      return await readNetworkList(this.#options.configurationDirectory)
    } catch (error) {
      if (isDroverError(error, 'NetworkNotReady')) return undefined
      throw error
    }
  }

  async #addChain(chain: Chain): Promise<unknown> {
    let result: unknown
    const begun: ListedPlugin[] = []
    for (const plugin of chain.list.plugins) {
      begun.push(plugin)
      try {
        result =
          (await this.#run('ADD', chain, plugin, result === undefined ? {} : { prevResult: result })) ??
          result
      } catch (error) {
        await this.#unwind(chain, begun)
        throw error
      }
    }
    return result
  }

  async #unwind(chain: Chain, begun: readonly ListedPlugin[]): Promise<void> {
    try {
      await this.#deleteChain(chain, begun, undefined)
    } catch (error) {
      // The ADD's own error says more; the container's DEL, which must follow, tries again.
      this.#options.log.warn(
        { container: chain.containerId, reason: explainError(error) },
        'could not undo what a failed CNI ADD had made',
      )
    }
  }

  /** Runs DEL in reverse order, all of them; throws the first error at the end. */
  async #deleteChain(chain: Chain, plugins: readonly ListedPlugin[], result: unknown): Promise<void> {
    const passes = result !== undefined && isAtLeast(chain.version, '0.4.0')
    const errors: unknown[] = []
    for (const plugin of plugins.toReversed()) {
      await this.#run('DEL', chain, plugin, passes ? { prevResult: result } : {}).catch((error: unknown) => {
        errors.push(error)
      })
    }
    if (errors.length > 0) throw errors[0]
  }

  async #run(
    command: CniCommand,
    chain: Chain,
    plugin: ListedPlugin,
    extra: Readonly<Record<string, unknown>>,
  ): Promise<unknown> {
    const { capabilities: _declared, ...own } = plugin
    const runtimeConfig = runtimeConfiguration(plugin, chain.capabilities)
    const call = {
      command,
      type: plugin.type,
      binaryDirectory: this.#options.binaryDirectory,
      configuration: {
        ...own,
        cniVersion: chain.version,
        name: chain.list.name,
        ...(runtimeConfig === undefined ? {} : { runtimeConfig }),
        ...extra,
      },
      environment: {
        ...(chain.containerId === undefined ? {} : { CNI_CONTAINERID: chain.containerId }),
        ...(chain.interfaceName === undefined ? {} : { CNI_IFNAME: chain.interfaceName }),
        ...(chain.namespace === undefined ? {} : { CNI_NETNS: chain.namespace }),
        ...(chain.arguments === undefined ? {} : { CNI_ARGS: chain.arguments }),
      },
    }
    return await this.#gate.run(() => runPlugin(call))
  }
}
