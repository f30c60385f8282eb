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
  KeyedLock,
  type Logger,
  makePrivateDirectory,
  ReconcileLoop,
  type ReconcileResult,
} from '../../kit/index.ts'
import { CniServer } from '../../netplugins/cni/index.ts'
import { NetworkDriver } from '../../netplugins/driver/index.ts'
import { networkErrors } from '../../netplugins/index.ts'
import { hostAddressesOf } from '../../netplugins/ipsec/index.ts'
import type { Peer, PeerState } from '../../netplugins/overlay/index.ts'
import type { PolicyInput } from '../../netplugins/policy/index.ts'
import { METADATA_ADDRESS } from '../../protocol/index.ts'
import { reconcileAspect } from './aspect-work.ts'
import { ASPECTS, type Aspect, REPORTED } from './aspects.ts'
import { type Attachment, withCountingAddress6 } from './attachment.ts'
import { endDualStack } from './dual-stack.ts'
import { endFlowOffload } from './flow-offload-keeper.ts'
import { type NetworkParts, type NetworkState, openNetworkParts } from './network-parts.ts'
import { NetworkProblems } from './network-problems.ts'
import { NetworkWatch } from './network-watch.ts'
import type { OverlayFactory } from './overlay-keeper.ts'
import { removeFromKernel } from './removal.ts'
import { RulesetWatch } from './ruleset-watch.ts'
import {
  ETHERNET,
  type HostLinkFacts,
  type NetworkPlan,
  type NetworkSettings,
  planOf,
  SettingsFile,
} from './settings.ts'

/** What follows from whether containers have IPv6 addresses. */
const AFTER_IPV6: readonly Aspect[] = ['links', 'overlay', 'firewall', 'firewall6', 'guard']

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
  /** Plugins that container runtimes of this host call beside those of a network. */
  readonly companionPlugins?: readonly string[]
  /** Connects this host to others; absent where hosts stay apart. */
  readonly createOverlay?: OverlayFactory
  /** Whether a change of rules was made by a process of another part of this agent. */
  readonly isOwnProcess?: (processId: number) => boolean
  readonly log: Logger
}

export class HostNetwork implements Daemon {
  readonly name = 'network'
  readonly #options: HostNetworkOptions
  readonly #directory: string
  readonly #settingsFile: SettingsFile
  readonly #driver: NetworkDriver
  readonly #loop: ReconcileLoop<Aspect>
  readonly #state: NetworkState = {
    plan: undefined,
    dockerBridges: [],
    peers: [],
    bridgedServices: false,
  }
  readonly #problems = new NetworkProblems()
  readonly #changeListeners = new Set<() => void>()
  readonly #lowListeners = new Set<(free: number) => void>()
  readonly #statusListeners = new Set<() => void>()
  readonly #configurations = new KeyedLock('network')
  readonly #watch: NetworkWatch
  readonly #rulesetWatch: RulesetWatch
  #builtKind: string = 'bridge'
  #builtPrefix: string | undefined
  #policy: PolicyInput | undefined
  #parts: NetworkParts | undefined
  #server: CniServer | undefined
  #facts: HostLinkFacts = ETHERNET

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
      hostLabels: () => this.#state.plan?.settings.labels ?? {},
      companions: options.companionPlugins ?? [],
    })
    this.#loop = new ReconcileLoop({
      name: 'network',
      reconcile: aspect => this.#reconcile(aspect),
      log,
      // One after the other: later aspects rely on earlier ones.
      concurrency: 1,
    })
    this.#watch = new NetworkWatch({
      bridgeName: options.bridgeName,
      state: this.#state,
      parts: () => this.#parts,
      look: aspect => this.#loop.kickAfter(aspect, EVENT_DELAY),
    })
    this.#rulesetWatch = new RulesetWatch({
      isOwn: processId =>
        this.#parts?.firewall.isOwnProcess(processId) === true ||
        this.#parts?.firewall6.isOwnProcess(processId) === true ||
        this.#parts?.flowOffload.isOwnProcess(processId) === true ||
        options.isOwnProcess?.(processId) === true,
      look: delay => {
        this.#loop.kickAfter('firewall', delay)
        if (this.#state.plan?.ipv6Prefix !== undefined) this.#loop.kickAfter('firewall6', delay)
        this.#loop.kickAfter('guard', delay)
        this.#parts?.flowOffload.forgetRules()
        this.#loop.kickAfter('flows', delay)
      },
      log,
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
      createOverlay: this.#options.createOverlay,
      overlayChanged: () => this.#tellStatus(),
      state: this.#state,
      requireReady: () => this.requireReady(),
      changed: () => this.#tellChange(),
      addressesLow: free => this.#tellLow(free),
      log,
    })
    this.#parts = parts
    if (this.#policy !== undefined) parts.policy.set(this.#policy)
    const settings = await this.#settingsFile.read()
    if (settings !== undefined) this.#adopt(planOf(settings))
    this.#watch.start()
    await this.#rulesetWatch.start()
    this.#loop.start()
    await this.reconcileNow('start')
    this.#server = new CniServer({ socket: cniSocket, handler: parts.attachments, log })
    await this.#server.start()
  }

  /** Serves no more requests; what was built stays and works. */
  async stop(): Promise<void> {
    await this.#server?.stop()
    this.#rulesetWatch.stop()
    await this.#loop.stop()
    // Last: what is looked at until the end may have it listen to more.
    this.#watch.stop()
    this.#facts = ETHERNET
    await this.#parts?.ports.close()
    await this.#parts?.overlay.close()
    await this.#parts?.policy.close()
    this.#parts?.flowOffload.close()
    this.#parts?.guard.close()
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
    const plan = planOf(settings, this.#facts)
    // One after the other: of two calls the later one counts, also on disk.
    await this.#configurations.run('settings', async () => {
      await makePrivateDirectory(this.#directory)
      await this.#settingsFile.write(plan.settings)
      this.#adopt(plan)
    })
    await this.reconcileNow('configured')
    this.requireReady()
  }

  /** Says which other hosts there are. Work is done for those that came, changed or went. */
  setPeers(peers: readonly Peer[]): void {
    this.#state.peers = peers
    this.#loop.kick('peers')
  }

  /** Says who may talk to whom. Without a call, what was said last counts, also after a restart. */
  setPolicy(input: PolicyInput): void {
    this.#policy = input
    this.#parts?.policy.set(input)
    this.#loop.kick('policy')
  }

  /** Says whether services have endpoints on this host: then answers of one container to another pass the host's rules. */
  setBridgedServices(present: boolean): void {
    this.#state.bridgedServices = present
    this.#loop.kick('policy')
  }

  /** Says why packets for services are not led as they should be; undefined when they are. */
  setServicesProblem(problem: unknown): void {
    this.#problems.set('services', problem)
    this.#tellStatus()
  }

  /** All containers of the cluster have addresses in this block; undefined until somebody said what the network is. */
  get clusterBlock(): string | undefined {
    return this.#state.plan?.settings.clusterBlock
  }

  /** Of the network that the host has, or that it failed to get; `bridge` until there is one. */
  get kind(): string {
    return this.#builtKind
  }

  /** Of the IPv6 addresses that containers get; undefined while they get none. */
  get ipv6Prefix(): string | undefined {
    return this.#builtPrefix
  }

  /** How the ways to the other hosts are. */
  peerStates(): readonly PeerState[] {
    return this.#parts?.overlay.peerStates() ?? []
  }

  /** What keeps the network from being as it should be; undefined when nothing does. */
  get failure(): string | undefined {
    return this.#problems.failure
  }

  /** Calls `listener` after the overlay was looked at. @returns ends that */
  onStatusChanged(listener: () => void): () => void {
    this.#statusListeners.add(listener)
    return () => this.#statusListeners.delete(listener)
  }

  /** Looks at everything now. @param reason for the log: `docker restarted` */
  async reconcileNow(reason: string): Promise<void> {
    if (this.#parts === undefined) return
    this.#options.log.debug({ reason }, 'looks at the whole network')
    for (const aspect of ASPECTS) this.#loop.kick(aspect)
    await this.#loop.idle()
  }

  /** Every container interface of this host, with the addresses that count. */
  attachments(): readonly Attachment[] {
    const prefix = this.#state.plan?.ipv6Prefix
    return (this.#parts?.store.list() ?? []).map(attachment => withCountingAddress6(attachment, prefix))
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
    this.#problems.requireServable()
  }

  /** Stops, and removes every link, address, rule and file of ours from this host. @throws `KernelRefused`, … */
  async uninstall(): Promise<void> {
    const { bridgeName, log } = this.#options
    const settings = await this.#settingsFile.read().catch(() => undefined)
    // What is removed now must not be built again.
    await this.#loop.stop()
    await this.#parts?.flat.remove()
    await this.#parts?.overlay.remove()
    await this.stop()
    await this.#driver.uninstall()
    await endDualStack({ directory: this.#directory, log })
    await endFlowOffload({ directory: this.#directory, bridgeName, log })
    await removeFromKernel({
      bridgeName,
      metadataAddress: settings?.metadata.address ?? METADATA_ADDRESS,
      log,
    })
    await rm(this.#options.cniSocket, { force: true })
    await rm(this.#directory, { recursive: true, force: true })
  }

  #adopt(plan: NetworkPlan): void {
    this.#state.plan = plan
    const { clusterBlock, blocks, address } = plan.settings
    // Whatever the network is now, it may be another one tomorrow.
    const own = address === undefined ? [] : hostAddressesOf(clusterBlock, blocks)
    // Hosts of a flat network hand out the same addresses: each begins elsewhere, so that they seldom meet.
    const seed = plan.network.kind === 'flat' ? address : undefined
    this.#parts?.pool.setBlocks(plan.subnet, plan.blocks, own, seed)
  }

  /** Takes notice of the host. */
  #learn(facts: Partial<HostLinkFacts>): void {
    const before = this.#facts.dualStack
    this.#facts = { ...this.#facts, ...facts }
    const { plan } = this.#state
    if (plan !== undefined) this.#adopt(planOf(plan.settings, this.#facts))
    const { dualStack } = this.#facts
    if (dualStack === before) return
    this.#watch.followIpv6(dualStack)
    for (const aspect of AFTER_IPV6) this.#loop.kick(aspect)
  }

  async #reconcile(aspect: Aspect): Promise<ReconcileResult> {
    const { plan } = this.#state
    const parts = this.#parts
    if (plan === undefined || parts === undefined) return undefined
    try {
      const interval = await reconcileAspect(aspect, {
        ...{ parts, plan, state: this.#state, driver: this.#driver },
        bridgeName: this.#options.bridgeName,
        hasIpv6: this.#facts.dualStack,
        learn: facts => this.#learn(facts),
        isBuilt: !this.#problems.has('links') && !this.#problems.has('firewall'),
      })
      this.#problems.set(aspect, undefined)
      return { requeueAfter: interval }
    } catch (error) {
      this.#problems.set(aspect, error)
      throw error
    } finally {
      if (aspect === 'links') this.#hasBuilt(plan)
      // Of links that were made anew, it has to be on the new ones.
      if (aspect === 'links' || aspect === 'overlay') this.#loop.kick('flows')
      if (REPORTED.has(aspect)) this.#tellStatus()
    }
  }

  #hasBuilt({ network, ipv6Prefix }: NetworkPlan): void {
    this.#builtKind = network.kind
    if (this.#builtPrefix === ipv6Prefix?.text) return
    this.#builtPrefix = ipv6Prefix?.text
    // Containers that have IPv6 addresses may have some that count, or none any more.
    this.#tellChange()
  }

  #tellChange(): void {
    this.#loop.kick('policy')
    this.#loop.kickAfter('flows', EVENT_DELAY)
    for (const listener of this.#changeListeners) listener()
  }

  #tellStatus(): void {
    for (const listener of this.#statusListeners) listener()
  }

  #tellLow(free: number): void {
    for (const listener of this.#lowListeners) listener(free)
  }
}
