/** What the kernel has to know of the peers. */
import { blockWithIpv6Prefix, formatIpv6, type Ipv6Prefix, parseIpv4 } from '../../kit/index.ts'
import {
  forwardingObject,
  type KernelObject,
  neighbourObject,
  OUR_PROTOCOL,
  routeObject,
} from '../netlink/index.ts'
import type { Peer } from '../overlay/index.ts'
import { type HostAddresses, vtepMac } from './vtep.ts'

export interface VxlanObjects {
  readonly table: Map<string, KernelObject>
  /** Key → host id of the peer that it is for. */
  readonly owners: ReadonlyMap<string, string>
}

/** Of one peer. */
interface Way {
  /** What it follows from. */
  readonly origin: string
  readonly ends: readonly KernelObject[]
  readonly routes: readonly KernelObject[]
}

/**
 * Per peer one forwarding entry (its VTEP's MAC address is at its address) and one neighbour, per block one route. The
 * peer's address stands for its VTEP: to this host it is a neighbour on the link. In IPv6, a link-local address made of it
 * does: no other route can ever be about that.
 */
export class VxlanWays {
  /** Host id → what was made of it: of a thousand peers one changes at a time. */
  #ways = new Map<string, Way>()

  /**
   * @param link index of the VTEP
   * @param own the sources of packets of this host itself
   * @param prefix of containers' IPv6 addresses, where they have some
   */
  objects(
    peers: readonly Peer[],
    link: number,
    own: HostAddresses,
    prefix: Ipv6Prefix | undefined,
  ): VxlanObjects {
    const ways = new Map<string, Way>()
    for (const peer of peers) {
      const origin = `${link} ${own.ipv4} ${prefix?.text} ${peer.address} ${peer.blocks.join()}`
      const before = this.#ways.get(peer.hostId)
      ways.set(peer.hostId, before?.origin === origin ? before : wayTo(peer, link, own, prefix, origin))
    }
    this.#ways = ways
    const table = new Map<string, KernelObject>()
    const owners = new Map<string, string>()
    for (const part of ['ends', 'routes'] as const) {
      for (const [hostId, way] of ways) {
        for (const object of way[part]) {
          table.set(object.key, object)
          owners.set(object.key, hostId)
        }
      }
    }
    return { table, owners }
  }
}

/** The address by which a VTEP is known to its peers in IPv6. @param address a valid IPv4 address */
export function vtepNeighbour6(address: string): string {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt16BE(0xfe80)
  bytes.writeUInt32BE(parseIpv4(address) ?? 0, 12)
  return formatIpv6(bytes)
}

function wayTo(
  peer: Peer,
  link: number,
  own: HostAddresses,
  prefix: Ipv6Prefix | undefined,
  origin: string,
): Way {
  const { address, blocks } = peer
  const mac = vtepMac(address)
  const route = { gateway: address, link, source: own.ipv4, onLink: true, protocol: OUR_PROTOCOL }
  const way = {
    origin,
    ends: [forwardingObject({ link, mac, host: address }), neighbourObject({ link, address, mac })],
    routes: blocks.map(destination => routeObject({ ...route, destination })),
  }
  if (prefix === undefined) return way
  const gateway = vtepNeighbour6(address)
  const route6 = { gateway, link, source: own.ipv6, protocol: OUR_PROTOCOL }
  return {
    origin,
    ends: [...way.ends, neighbourObject({ link, address: gateway, mac })],
    routes: [
      ...way.routes,
      ...blocks.map(block => routeObject({ ...route6, destination: blockWithIpv6Prefix(prefix, block) })),
    ],
  }
}
