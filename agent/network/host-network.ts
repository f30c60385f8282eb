/**
 * The network of one host: a bridge, a link into every container, the metadata address, the firewall rules.
 *
 * Everything is reconciled from what is on disk: nothing needs a server to keep working, and what was built works while
 * this process does not run.
 */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import {
  type Daemon,
  explainError,
  KeyedLock,
  type Logger,
  makePrivateDirectory,
  ReconcileLoop,
  type ReconcileResult,
} from '../../kit/index.ts'
import { BridgeNetwork } from '../../netplugins/bridge/index.ts'
import { CniServer } from '../../netplugins/cni/index.ts'
import { NetworkDriver } from '../../netplugins/driver/index.ts'
import { networkErrors } from '../../netplugins/index.ts'
import { IptablesReconciler } from '../../netplugins/iptables/index.ts'
import { type KernelEvent, listLinks, watchKernel, withRouteSocket } from '../../netplugins/netlink/index.ts'
import { METADATA_ADDRESS } from '../../protocol/index.ts'
import type { Attachment } from './attachment.ts'
import { isDockerBridge, needsAttention } from './kernel-watch.ts'
import { ensureMetadataAddress, removeMetadataAddress } from './metadata-address.ts'
import { type NetworkParts, type NetworkState, openNetworkParts } from './network-parts.ts'
import { type NetworkPlan, type NetworkSettings, planOf, SettingsFile } from './settings.ts'

/** What of the host is reconciled on its own, in this order. */
const ASPECTS = ['links', 'firewall', 'ports', 'driver'] as const

type Aspect = (typeof ASPECTS)[number]

/** Milliseconds between two looks at everything, for what no event tells. */
const INTERVAL = 60_000

/** Milliseconds after which ports that could not be had are tried again. */
const PORT_INTERVAL = 10_000

/** Milliseconds for which events are collected before the links are looked at. */
const EVENT_DELAY = 50

export interface HostNetworkOptions {
  /** The agent's data directory; everything is kept in `network` below it. */
  readonly dataDirectory: string
  /** Name of the bridge; at most 15 characters. */
  readonly bridgeName: string
  /** Path of the unix socket on which the CNI plugin finds the agent. */
  readonly cniSocket: string
  /** Where container runtimes look for network configurations, e.g. `/etc/cni/net.d`. */
  readonly configurationDirectory: string
  /** Where they look for plugins, e.g. `/opt/cni/bin`. */
  readonly binaryDirectory: string
  /** The CNI plugin as `buildPlugin` built it. */
  readonly pluginFile: string
  readonly log: Logger
}

export class HostNetwork implements Daemon {
  readonly name = 'network'
  readonly #options: HostNetworkOptions
  readonly #directory: string
  readonly #settingsFile: SettingsFile
  readonly #driver: NetworkDriver
  readonly #loop: ReconcileLoop<Aspect>
  readonly #state: NetworkState = { plan: undefined, dockerBridges: [] }
  /** Why an aspect is not as it should be. */
  readonly #problems = new Map<Aspect, unknown>()
  readonly #changeListeners = new Set<() => void>()
  readonly #lowListeners = new Set<(free: number) => void>()
  readonly #configurations = new KeyedLock('network')
  #parts: NetworkParts | undefined
  #server: CniServer | undefined
  #stopWatching: (() => void) | undefined

  constructor(options: HostNetworkOptions) {
    const { dataDirectory, configurationDirectory, binaryDirectory, pluginFile, cniSocket, log } = options
    this.#options = options
    this.#directory = path.join(dataDirectory, 'network')
    this.#settingsFile = new SettingsFile(this.#directory)
    this.#driver = new NetworkDriver({
      configurationDirectory,
      binaryDirectory,
      pluginFile,
      socket: cniSocket,
      networkName: 'drover',
    })
    this.#loop = new ReconcileLoop({
      name: 'network',
      reconcile: aspect => this.#reconcile(aspect),
      log,
      // One after the other: later aspects rely on earlier ones.
      concurrency: 1,
    })
  }

  /**
   * Resolves when the host's network is as it should be (as far as it can be: `requireReady` says what is not), or
   * nobody said yet what that is, and the CNI plugin is served.
   *
   * @throws `CorruptFile` for settings that cannot be read, the system's error for a socket that cannot be opened
   */
  async start(): Promise<void> {
    const { bridgeName, cniSocket, log } = this.#options
    const parts = await openNetworkParts({
      directory: this.#directory,
      bridgeName,
      state: this.#state,
      requireReady: () => this.requireReady(),
      changed: () => this.#tellChange(),
      addressesLow: free => this.#tellLow(free),
      log,
    })
    this.#parts = parts
    const settings = await this.#settingsFile.read()
    if (settings !== undefined) this.#adopt(planOf(settings))
    this.#stopWatching = watchKernel(event => this.#consider(event))
    this.#loop.start()
    await this.reconcileNow('start')
    this.#server = new CniServer({ socket: cniSocket, handler: parts.attachments, log })
    await this.#server.start()
  }

  /** Serves no more requests; what was built stays and works. */
  async stop(): Promise<void> {
    await this.#server?.stop()
    this.#stopWatching?.()
    await this.#loop.stop()
    await this.#parts?.ports.close()
    this.#parts?.socket.close()
    this.#parts = undefined
  }

  /**
   * Says what the network is; kept on disk. May be called at any time: before `start`, which then builds it, and again
   * with other settings, for instance with more blocks.
   *
   * @throws `InvalidFormat`; `NetworkNotReady` when the host could not be brought there (it is tried again by itself)
   */
  async configure(settings: NetworkSettings): Promise<void> {
    const plan = planOf(settings)
    // One after the other: of two calls the later one counts, also on disk.
    await this.#configurations.run('settings', async () => {
      await makePrivateDirectory(this.#directory)
      await this.#settingsFile.write(plan.settings)
      this.#adopt(plan)
    })
    await this.reconcileNow('configured')
    this.requireReady()
  }

  /** Looks at everything now. @param reason for the log: `docker restarted` */
  async reconcileNow(reason: string): Promise<void> {
    if (this.#parts === undefined) return
    this.#options.log.debug({ reason }, 'looks at the whole network')
    for (const aspect of ASPECTS) this.#loop.kick(aspect)
    await this.#loop.idle()
  }

  /** Every container interface of this host. */
  attachments(): readonly Attachment[] {
    return this.#parts?.store.list() ?? []
  }

  /** Calls `listener` after attachments came or went. @returns ends that */
  onAttachmentsChanged(listener: () => void): () => void {
    this.#changeListeners.add(listener)
    return () => this.#changeListeners.delete(listener)
  }

  /** Calls `listener` for every container that leaves fewer than 8 free addresses. @returns ends that */
  onAddressesLow(listener: (free: number) => void): () => void {
    this.#lowListeners.add(listener)
    return () => this.#lowListeners.delete(listener)
  }

  /** @throws `NetworkNotReady` with the reason when containers cannot be served now */
  requireReady(): void {
    if (this.#state.plan === undefined) {
      throw networkErrors.NetworkNotReady({ object: 'network', message: 'is not configured yet' })
    }
    for (const [aspect, problem] of this.#problems) {
      throw networkErrors.NetworkNotReady({
        object: `network (${aspect})`,
        message: explainError(problem),
        cause: problem,
      })
    }
  }

  /** Stops, and removes every link, address, rule and file of ours from this host. @throws `KernelRefused`, … */
  async uninstall(): Promise<void> {
    const { bridgeName, log } = this.#options
    const settings = await this.#settingsFile.read().catch(() => undefined)
    await this.stop()
    await this.#driver.uninstall()
    await new IptablesReconciler(log).remove()
    await withRouteSocket(undefined, async socket => {
      const bridge = new BridgeNetwork(bridgeName, socket)
      const links = await bridge.hostInterfaces()
      await Promise.all(links.keys().map(link => bridge.removeHostInterface(link)))
      await bridge.remove()
      await removeMetadataAddress(socket, settings?.metadata.address ?? METADATA_ADDRESS)
    })
    await rm(this.#options.cniSocket, { force: true })
    await rm(this.#directory, { recursive: true, force: true })
  }

  #adopt(plan: NetworkPlan): void {
    this.#state.plan = plan
    this.#parts?.pool.setBlocks(plan.clusterBlock, plan.blocks)
  }

  async #reconcile(aspect: Aspect): Promise<ReconcileResult> {
    const { plan } = this.#state
    const parts = this.#parts
    if (plan === undefined || parts === undefined) return undefined
    try {
      const interval = await this.#reconcilePart(aspect, parts, plan)
      this.#problems.delete(aspect)
      return { requeueAfter: interval }
    } catch (error) {
      this.#problems.set(aspect, error)
      throw error
    }
  }

  /** @returns milliseconds until the next look */
  async #reconcilePart(aspect: Aspect, parts: NetworkParts, plan: NetworkPlan): Promise<number> {
    switch (aspect) {
      case 'links':
        await parts.bridge.ensure(plan.bridge)
        await ensureMetadataAddress(parts.socket, plan.settings.metadata.address)
        await parts.keeper.reconcile()
        await this.#findDockerBridges(parts)
        return INTERVAL
      case 'firewall':
        await parts.firewall.verify()
        return INTERVAL
      case 'ports':
        return (await parts.ports.retake(parts.store.list())) > 0 ? PORT_INTERVAL : INTERVAL
      case 'driver':
        // What runtimes wait for must not appear before there is a network behind it.
        if (this.#problems.has('links') || this.#problems.has('firewall')) return PORT_INTERVAL
        await this.#driver.install()
        return INTERVAL
    }
  }

  async #findDockerBridges(parts: NetworkParts): Promise<void> {
    const found = (await listLinks(parts.socket))
      .filter(isDockerBridge)
      .map(link => link.name)
      .toSorted()
    if (found.join() === this.#state.dockerBridges.join()) return
    this.#state.dockerBridges = found
    await parts.firewall.sync()
  }

  #consider(event: KernelEvent): void {
    const { plan, dockerBridges } = this.#state
    const parts = this.#parts
    if (plan === undefined || parts === undefined) return
    const owned = (name: string) => parts.store.list().some(attachment => attachment.hostInterface === name)
    const watched = {
      bridgeName: this.#options.bridgeName,
      bridge: plan.bridge,
      dockerBridges,
      isSettled: (name: string) => owned(name) && !parts.attachments.isBusyWith(name),
    }
    if (needsAttention(event, watched)) this.#loop.kickAfter('links', EVENT_DELAY)
  }

  #tellChange(): void {
    for (const listener of this.#changeListeners) listener()
  }

  #tellLow(free: number): void {
    for (const listener of this.#lowListeners) listener(free)
  }
}
