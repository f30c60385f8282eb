/** Packets between hosts inside of UDP (RFC 7348): works wherever hosts reach each other, and hides nothing. */
import { explainError, type Ipv6Prefix, isDroverError, type Logger, withIpv6Prefix } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import { AddressSet } from '../ipset/index.ts'
import {
  forwardingObject,
  type KernelEvent,
  type KernelObject,
  type Link,
  LinkRemover,
  listAddresses,
  listForwarding,
  listLinks,
  listNeighbours,
  listRoutes,
  neighbourObject,
  OUR_PROTOCOL,
  type RouteSocket,
  routeObject,
  TableKeeper,
  tableOf,
  type VxlanOptions,
} from '../netlink/index.ts'
import {
  hostAddressOf,
  type Overlay,
  type OverlayRules,
  type OverlayState,
  type Peer,
  type PeerState,
  selectPeers,
  statesOfPeers,
} from '../overlay/index.ts'
import {
  compareVtep,
  ensureVtep,
  type HostAddresses,
  removeVteps,
  VTEP_NAME,
  VXLAN_OVERHEAD,
  wantedVtep,
} from './vtep.ts'
import { VxlanWays } from './vxlan-objects.ts'
import { PEER_SET, vxlanRules, vxlanRules6 } from './vxlan-rules.ts'

export interface VxlanOverlayOptions {
  /** Of the process's own network namespace; stays the caller's. */
  readonly socket: RouteSocket
  readonly log: Logger
}

/** The link of this host's side as it was made, and what it was derived from. */
interface Vtep {
  readonly link: number
  readonly wanted: VxlanOptions
  readonly own: HostAddresses
  /** Of the IPv6 addresses that it carries; undefined when it carries none. */
  readonly prefix: Ipv6Prefix | undefined
  readonly uplink: Link | undefined
}

export class VxlanOverlay implements Overlay {
  readonly overhead = VXLAN_OVERHEAD
  readonly #socket: RouteSocket
  readonly #log: Logger
  readonly #remover: LinkRemover
  readonly #peers: AddressSet
  readonly #table: TableKeeper
  readonly #ways = new VxlanWays()
  #vtep: Vtep | undefined
  #states: readonly PeerState[] = []
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: VxlanOverlayOptions) {
    this.#socket = options.socket
    this.#log = options.log
    this.#remover = new LinkRemover(options.socket)
    this.#peers = new AddressSet({ name: PEER_SET, type: 'hash:ip', log: options.log })
    this.#table = new TableKeeper(options.socket)
  }

  async apply(state: OverlayState): Promise<void> {
    await this.#inTurn(() => this.#bring(state, !this.#table.isKnown || !this.#fits(state)))
  }

  async verify(state: OverlayState): Promise<number> {
    return await this.#inTurn(() => this.#bring(state, true))
  }

  concerns(event: KernelEvent): boolean {
    const vtep = this.#vtep
    if (vtep === undefined) return false
    switch (event.kind) {
      case 'lost':
        return true
      case 'address':
        if (event.family === 6) return event.link === vtep.link
        return event.link === vtep.link || event.link === vtep.uplink?.index || vtep.uplink === undefined
      case 'route':
        return this.#table.holds(routeObject(event.route))
      case 'link': {
        const { link, removed } = event
        if (link.name === VTEP_NAME) return removed || compareVtep(link, vtep.wanted) !== 'same'
        return link.index === vtep.uplink?.index && (removed || link.mtu !== vtep.uplink.mtu)
      }
    }
  }

  rules(state: OverlayState): OverlayRules {
    const addresses = selectPeers(state, true).usable.map(peer => peer.address)
    return vxlanRules(state, addresses, this.#peers.exists)
  }

  rules6(state: OverlayState): OverlayRules {
    return vxlanRules6(state)
  }

  peerStates(): readonly PeerState[] {
    return this.#states
  }

  async close(): Promise<void> {
    await this.#last
    this.#peers.close()
  }

  async remove(): Promise<void> {
    await this.#inTurn(async () => {
      this.#table.forget()
      this.#vtep = undefined
      this.#states = []
      // Routes, neighbours, forwarding entries and the address go with the link.
      await removeVteps(this.#socket, this.#remover)
      await this.#peers.remove()
    })
  }

  /** Whether the link is as `state` needs it, as far as is known. */
  #fits(state: OverlayState): boolean {
    const vtep = this.#vtep
    if (vtep === undefined) return false
    const { own, prefix, uplink, wanted } = vtep
    if (state.ipv6Prefix?.text !== prefix?.text) return false
    const again = wantedVtep(state.address, uplink, wanted.local !== undefined)
    return again.mac === wanted.mac && hostAddressOf(state.clusterBlock, state.blocks) === own.ipv4
  }

  /** @returns how many things were not as they should be */
  async #bring(state: OverlayState, completely: boolean): Promise<number> {
    const { usable, problems } = selectPeers(state, true)
    const reasons = new Map(problems)
    try {
      // The door is closed before there is anything behind it.
      const repairs = await this.#bringPeerSet(usable, completely)
      const vtep = await this.#bringVtep(state, completely)
      const { table, owners } = this.#ways.objects(usable, vtep.link, vtep.own, vtep.prefix)
      const outcome = await this.#table.change(
        table,
        completely ? await this.#actualTable(vtep.link, vtep.prefix !== undefined) : undefined,
      )
      for (const [key, error] of outcome.failures) addReason(reasons, owners.get(key), error)
      const [first] = outcome.failures.values()
      if (first !== undefined) throw incomplete(outcome.failures.size, first)
      return repairs + vtep.repairs + outcome.changes
    } catch (error) {
      const isPartly = isDroverError(error, 'PartlyConnected')
      if (!isPartly) for (const { hostId } of usable) addReason(reasons, hostId, error)
      this.#table.forget()
      throw error
    } finally {
      this.#states = statesOfPeers(state.peers, reasons)
    }
  }

  async #bringPeerSet(peers: readonly Peer[], completely: boolean): Promise<number> {
    const addresses = peers.map(peer => peer.address)
    try {
      if (completely) return await this.#peers.verify(addresses)
      await this.#peers.apply(addresses)
    } catch (error) {
      // A kernel without sets: `rules` names every peer instead.
      this.#log.warn({ error: explainError(error) }, 'has no set of peers; uses a rule for each')
    }
    return 0
  }

  async #bringVtep(state: OverlayState, completely: boolean): Promise<Vtep & { repairs: number }> {
    if (!completely && this.#vtep !== undefined) return { ...this.#vtep, repairs: 0 }
    const links = await listLinks(this.#socket)
    const addresses = await listAddresses(this.#socket)
    const uplinkAddress = addresses.find(entry => entry.address === state.address)
    const index = uplinkAddress?.link ?? (await this.#defaultLink())
    const uplink = links.find(link => link.index === index)
    const wanted = wantedVtep(state.address, uplink, uplinkAddress !== undefined)
    const prefix = state.ipv6Prefix
    const ipv4 = hostAddressOf(state.clusterBlock, state.blocks)
    const ipv6 = prefix === undefined || ipv4 === undefined ? undefined : withIpv6Prefix(prefix, ipv4)
    const own = { ipv4, ipv6 }
    const hasIpv6 = prefix !== undefined
    const { link, repairs } = await ensureVtep(this.#socket, this.#remover, wanted, own, hasIpv6)
    this.#vtep = { link, wanted, own, prefix, uplink }
    return { ...this.#vtep, repairs }
  }

  async #defaultLink(): Promise<number | undefined> {
    return (await listRoutes(this.#socket)).find(route => route.destination === '0.0.0.0/0')?.link
  }

  /** What there is of ours, in the order in which each relies on what comes before it. */
  async #actualTable(link: number, hasIpv6: boolean): Promise<Map<string, KernelObject>> {
    const forwarding = await listForwarding(this.#socket, link)
    const neighbours = await listNeighbours(this.#socket, link)
    const routes = await listRoutes(this.#socket, { protocol: OUR_PROTOCOL })
    if (hasIpv6) {
      neighbours.push(...(await listNeighbours(this.#socket, link, 6)))
      routes.push(...(await listRoutes(this.#socket, { protocol: OUR_PROTOCOL, family: 6 })))
    }
    return tableOf([
      ...forwarding.map(forwardingObject),
      ...neighbours.flatMap(({ address, mac, permanent }) =>
        permanent && mac !== undefined ? [neighbourObject({ link, address, mac })] : [],
      ),
      ...routes.map(routeObject),
    ])
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => undefined)
    return turn
  }
}

function addReason(reasons: Map<string, string>, hostId: string | undefined, error: unknown): void {
  if (hostId !== undefined && !reasons.has(hostId)) reasons.set(hostId, explainError(error))
}

function incomplete(count: number, first: Error): Error {
  return networkErrors.PartlyConnected({
    object: 'VXLAN network',
    message: `${count} of its entries were refused, the first one: ${first.message}`,
    cause: first,
  })
}
