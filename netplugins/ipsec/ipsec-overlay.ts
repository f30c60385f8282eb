/** Packets between hosts encrypted and authenticated (RFC 4303), with keys that strongSwan's charon agrees upon (RFC 7296). */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import {
  blockWithIpv6Prefix,
  explainError,
  type Logger,
  makePrivateDirectory,
  ReconcileLoop,
  withIpv6Prefix,
} from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import {
  type KernelEvent,
  type KernelObject,
  listAddresses,
  listRoutes,
  OUR_PROTOCOL,
  type RouteSocket,
  routeObject,
  TableKeeper,
  tableOf,
} from '../netlink/index.ts'
import {
  hostAddressOf,
  type Overlay,
  type OverlayRules,
  type OverlayState,
  type Peer,
  type PeerState,
  selectPeers,
} from '../overlay/index.ts'
import { probeBackend } from './backend-probe.ts'
import { CharonProcess } from './charon-process.ts'
import { removeCharonRule } from './charon-rule.ts'
import { type CharonFiles, charonFiles, charonSettings } from './charon-settings.ts'
import { closedRouteObject, listClosedRoutes } from './closed-route.ts'
import { type Backend, DEFAULT_TIMINGS, desiredConnection, type IpsecTimings } from './connection.ts'
import {
  acceptedCredentials,
  type Credentials,
  charonVersion,
  credentialName,
  loadCredentials,
} from './credentials.ts'
import { ipsecRules, ipsecRules6 } from './ipsec-rules.ts'
import { PeerKeeper } from './peer-keeper.ts'
import { ensureTunnelLink, removeTunnelLink, type TunnelLink } from './tunnel-link.ts'
import type { ViciClient } from './vici/index.ts'

/** Bytes by which ESP in UDP in IPv4 makes a packet longer at most (with AES-CBC and SHA-256 it is 85), as it was in 2017. */
const OVERHEAD = 98

export interface IpsecOverlayOptions {
  /** For what is kept; a directory of its own in it is made. Its path may have 90 bytes or so: a socket is in it. */
  readonly directory: string
  /** Of the process's own network namespace; stays the caller's. */
  readonly socket: RouteSocket
  /** What the hosts prove themselves with; asked at every `apply` and `verify`. Undefined while there is nothing. */
  readonly credentials: () => Credentials | undefined
  /** Called when the state of a peer changed by itself. */
  readonly changed: () => void
  readonly log: Logger
  readonly timings?: Partial<IpsecTimings>
  /** Asks the host when absent. */
  readonly backend?: Backend
}

/** Times in a row that a charon which is there may fail to answer until it is started anew. */
const SILENCE_LIMIT = 3

type Job = 'peers' | 'charon'

export class IpsecOverlay implements Overlay {
  readonly overhead = OVERHEAD
  readonly #options: IpsecOverlayOptions
  readonly #timings: IpsecTimings
  readonly #files: CharonFiles
  readonly #charon: CharonProcess
  readonly #keeper: PeerKeeper
  readonly #table: TableKeeper
  readonly #loop: ReconcileLoop<Job>
  #backend: Backend | undefined
  #client: ViciClient | undefined
  #link: TunnelLink | undefined
  #credentials: string | undefined
  #silences = 0
  #state: OverlayState | undefined
  #problems: ReadonlyMap<string, string> = new Map()
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: IpsecOverlayOptions) {
    const { directory, socket, log, changed } = options
    this.#options = options
    this.#timings = { ...DEFAULT_TIMINGS, ...options.timings }
    this.#backend = options.backend
    this.#files = charonFiles(path.join(directory, 'ipsec'))
    this.#charon = new CharonProcess(this.#files, log)
    this.#table = new TableKeeper(socket)
    this.#keeper = new PeerKeeper({
      lookSoon: milliseconds => this.#loop.kickAfter('peers', milliseconds),
      changed,
      log,
    })
    this.#loop = new ReconcileLoop<Job>({
      name: 'ipsec',
      reconcile: async job => {
        if (job === 'peers') return { requeueAfter: await this.#keeper.look() }
        const state = this.#state
        if (state !== undefined && this.#client === undefined) await this.verify(state)
        return undefined
      },
      log,
      backoff: { initial: 200, maximum: 30_000 },
    })
  }

  /** Also @throws `HostKeysMissing`, `StrongSwanMissing`, `PortInUse`, `CharonFailed`, `CharonRefused`, `PartlyConnected` */
  async apply(state: OverlayState): Promise<void> {
    await this.#inTurn(() => this.#bring(state, !this.#fits(state)))
  }

  async verify(state: OverlayState): Promise<number> {
    return await this.#inTurn(() => this.#bring(state, true))
  }

  concerns(event: KernelEvent): boolean {
    const link = this.#link
    switch (event.kind) {
      case 'lost':
        return true
      case 'address':
        return event.link === link?.index
      case 'route':
        return this.#table.holds(routeObject(event.route))
      case 'link':
        if (event.link.name === this.#state?.bridgeName)
          return !event.removed && event.link.mtu !== link?.bridgeMtu
        return event.link.index === link?.index && (event.removed || !event.link.up)
    }
  }

  rules(state: OverlayState): OverlayRules {
    return ipsecRules(state)
  }

  rules6(state: OverlayState): OverlayRules {
    return ipsecRules6(state)
  }

  peerStates(): readonly PeerState[] {
    return (this.#state?.peers ?? []).map(peer => {
      const { hostId, name, address } = peer
      const problem = this.#problems.get(hostId)
      if (problem !== undefined) return { hostId, name, address, state: 'down', reason: problem }
      return { hostId, name, address, ...this.#keeper.stateOf(peer) }
    })
  }

  /** The process that encrypts or has the kernel do it; undefined when none runs. */
  async charonPid(): Promise<number | undefined> {
    return await this.#charon.pid()
  }

  async close(): Promise<void> {
    this.#state = undefined
    await this.#loop.stop()
    await this.#last
    this.#letGo()
  }

  async remove(): Promise<void> {
    this.#state = undefined
    await this.#inTurn(async () => {
      this.#letGo()
      await this.#charon.end()
      await removeCharonRule()
      const { socket } = this.#options
      await this.#table.change(new Map(), await this.#actualTable())
      await removeTunnelLink(socket)
      this.#link = undefined
      this.#table.forget()
      await rm(this.#files.directory, { recursive: true, force: true })
    })
  }

  /** Whether only peers may have changed since the last time, as far as is known. */
  #fits(state: OverlayState): boolean {
    const last = this.#state
    if (last === undefined || this.#client === undefined || !this.#table.isKnown) return false
    return (
      last.address === state.address &&
      last.clusterBlock === state.clusterBlock &&
      last.bridgeName === state.bridgeName &&
      last.ipv6Prefix?.text === state.ipv6Prefix?.text &&
      last.blocks.join() === state.blocks.join()
    )
  }

  /** @returns how many things were not as they should be */
  async #bring(state: OverlayState, completely: boolean): Promise<number> {
    this.#loop.start()
    this.#state = state
    const { usable, problems } = selectPeers(state, true)
    const reasons = new Map(problems)
    this.#problems = reasons
    for (const { hostId, blocks } of usable) {
      if (blocks.length === 0 && !reasons.has(hostId)) reasons.set(hostId, 'has no address block yet')
    }
    try {
      // Before anything else: nothing leaves unencrypted.
      let repairs = completely && this.#link === undefined ? await this.#close(state) : 0
      const client = await this.#ensureCharon()
      if (completely) {
        this.#link = await this.#ensureLink(state)
        repairs += this.#link.repairs
      }
      repairs += await this.#bringRoutes(state, usable, completely)
      return repairs + (await this.#bringConnections(client, state, usable, completely))
    } catch (error) {
      this.#table.forget()
      for (const { hostId } of usable) if (!reasons.has(hostId)) reasons.set(hostId, explainError(error))
      throw error
    }
  }

  async #close(state: OverlayState): Promise<number> {
    const { changes } = await this.#table.change(
      tableOf(closedRoutes(state)),
      tableOf(await this.#actualClosedRoutes()),
    )
    this.#table.forget()
    return changes
  }

  async #ensureCharon(): Promise<ViciClient> {
    const credentials = this.#requireCredentials()
    if (this.#client !== undefined) return this.#client
    const { log, changed } = this.#options
    this.#backend ??= await probeBackend()
    await makePrivateDirectory(this.#files.directory)
    const found = this.#silences < SILENCE_LIMIT ? await this.#charon.find() : undefined
    const client =
      found ?? (await this.#charon.start(charonSettings(this.#files, this.#backend, this.#timings)))
    // Counted until it has said something.
    this.#silences += 1
    try {
      const version = await charonVersion(client)
      log.info({ version, encrypts: this.#backend, found: found !== undefined }, 'uses charon')
      await loadCredentials(client, credentials)
      await this.#keeper.attach(client)
      this.#silences = 0
    } catch (error) {
      client.close()
      throw error
    }
    this.#credentials = JSON.stringify(acceptedCredentials(credentials))
    this.#client = client
    void client.closed.then(reason => {
      if (this.#client !== client) return
      log.warn({ reason: explainError(reason) }, 'lost charon')
      this.#letGo()
      changed()
      this.#loop.kick('charon')
    })
    return client
  }

  async #ensureLink(state: OverlayState): Promise<TunnelLink> {
    return await ensureTunnelLink(this.#options.socket, this.#charon, this.#backend ?? 'userspace', state)
  }

  async #bringRoutes(state: OverlayState, peers: readonly Peer[], completely: boolean): Promise<number> {
    const link = this.#link
    if (link === undefined) return 0
    const desired = tableOf([...closedRoutes(state), ...routesToPeers(state, peers, link.index)])
    const { changes, failures } = await this.#table.change(
      desired,
      completely ? await this.#actualTable() : undefined,
    )
    const [first] = failures.values()
    if (first === undefined) return changes
    throw networkErrors.PartlyConnected({
      object: 'IPsec network',
      message: `${failures.size} of its routes were refused, the first one: ${first.message}`,
      cause: first,
    })
  }

  async #bringConnections(
    client: ViciClient,
    state: OverlayState,
    peers: readonly Peer[],
    completely: boolean,
  ): Promise<number> {
    const credentials = this.#requireCredentials()
    const accepted = acceptedCredentials(credentials)
    if (this.#credentials !== JSON.stringify(accepted)) {
      await loadCredentials(client, credentials)
      this.#credentials = JSON.stringify(accepted)
      this.#options.log.info({ credential: credentialName(credentials) }, 'changes over to other keys')
    }
    if (completely) await this.#keeper.recount()
    const addresses = await listAddresses(this.#options.socket)
    const hasAddress = addresses.some(({ address }) => address === state.address)
    const backend = this.#backend ?? 'userspace'
    const connections = peers
      .filter(({ blocks }) => blocks.length > 0 && state.blocks.length > 0)
      .map(peer =>
        desiredConnection({ state, peer, credentials, backend, timings: this.#timings, hasAddress }),
      )
    const changes = await this.#keeper.want(connections, accepted)
    this.#loop.kickAfter('peers', 0)
    return changes
  }

  #requireCredentials(): Credentials {
    const credentials = this.#options.credentials()
    if (credentials === undefined) throw networkErrors.HostKeysMissing({ object: 'IPsec network' })
    return credentials
  }

  /** What there is of ours, in the order in which each relies on what comes before it. */
  async #actualTable(): Promise<Map<string, KernelObject>> {
    const { socket } = this.#options
    const routes = await listRoutes(socket, { protocol: OUR_PROTOCOL })
    // Of IPv6 no others are ours on a host that has this network.
    const routes6 = await listRoutes(socket, { protocol: OUR_PROTOCOL, family: 6 })
    return tableOf([...(await this.#actualClosedRoutes()), ...[...routes, ...routes6].map(routeObject)])
  }

  async #actualClosedRoutes(): Promise<KernelObject[]> {
    const { socket } = this.#options
    return [...(await listClosedRoutes(socket)), ...(await listClosedRoutes(socket, 6))]
  }

  #letGo(): void {
    const client = this.#client
    this.#client = undefined
    this.#link = undefined
    this.#keeper.detach()
    client?.close()
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => undefined)
    return turn
  }
}

function closedRoutes({ clusterBlock, ipv6Prefix }: OverlayState): KernelObject[] {
  const closed6 = ipv6Prefix === undefined ? [] : [blockWithIpv6Prefix(ipv6Prefix, clusterBlock)]
  return [clusterBlock, ...closed6].map(closedRouteObject)
}

function routesToPeers(state: OverlayState, peers: readonly Peer[], link: number): KernelObject[] {
  const { ipv6Prefix: prefix } = state
  const source = hostAddressOf(state.clusterBlock, state.blocks)
  const source6 = source === undefined || prefix === undefined ? undefined : withIpv6Prefix(prefix, source)
  const route = { gateway: undefined, link, protocol: OUR_PROTOCOL }
  return peers.flatMap(({ blocks }) =>
    blocks.flatMap(destination => [
      routeObject({ ...route, destination, source }),
      ...(prefix === undefined
        ? []
        : [
            routeObject({ ...route, destination: blockWithIpv6Prefix(prefix, destination), source: source6 }),
          ]),
    ]),
  )
}
