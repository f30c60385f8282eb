/** What the kernel has to know of the peers. */
import {
  forwardingObject,
  type KernelObject,
  neighbourObject,
  OUR_PROTOCOL,
  routeObject,
} from '../netlink/index.ts'
import type { Peer } from '../overlay/index.ts'
import { vtepMac } from './vtep.ts'

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
 * peer's address stands for its VTEP: to this host it is a neighbour on the link.
 */
export class VxlanWays {
  /** Host id → what was made of it: of a thousand peers one changes at a time. */
  #ways = new Map<string, Way>()

  /**
   * @param link index of the VTEP
   * @param hostAddress the source of packets of this host itself
   */
  objects(peers: readonly Peer[], link: number, hostAddress: string | undefined): VxlanObjects {
    const ways = new Map<string, Way>()
    for (const peer of peers) {
      const origin = `${link} ${hostAddress} ${peer.address} ${peer.blocks.join()}`
      const before = this.#ways.get(peer.hostId)
      ways.set(peer.hostId, before?.origin === origin ? before : wayTo(peer, link, hostAddress, origin))
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

function wayTo(peer: Peer, link: number, source: string | undefined, origin: string): Way {
  const { address, blocks } = peer
  const mac = vtepMac(address)
  const route = { gateway: address, link, source, onLink: true, protocol: OUR_PROTOCOL }
  return {
    origin,
    ends: [forwardingObject({ link, mac, host: address }), neighbourObject({ link, address, mac })],
    routes: blocks.map(destination => routeObject({ ...route, destination })),
  }
}
