/** What the kernel has to know of the peers. */
import {
  forwardingObject,
  type KernelObject,
  neighbourObject,
  OUR_PROTOCOL,
  routeObject,
  tableOf,
} from '../netlink/index.ts'
import type { Peer } from '../overlay/index.ts'
import { vtepMac } from './vtep.ts'

export interface VxlanObjects {
  readonly table: Map<string, KernelObject>
  /** Key → host id of the peer that it is for. */
  readonly owners: ReadonlyMap<string, string>
}

/**
 * Per peer one forwarding entry (its VTEP's MAC address is at its address) and one neighbour, per block one route. The
 * peer's address stands for its VTEP: to this host it is a neighbour on the link.
 *
 * @param link index of the VTEP
 * @param hostAddress the source of packets of this host itself
 */
export function vxlanObjects(
  peers: readonly Peer[],
  link: number,
  hostAddress: string | undefined,
): VxlanObjects {
  const owners = new Map<string, string>()
  const owned = (peer: Peer, object: KernelObject) => {
    owners.set(object.key, peer.hostId)
    return object
  }
  const ways = peers.flatMap(peer => {
    const { address } = peer
    const mac = vtepMac(address)
    return [
      owned(peer, forwardingObject({ link, mac, host: address })),
      owned(peer, neighbourObject({ link, address, mac })),
    ]
  })
  const routes = peers.flatMap(peer =>
    peer.blocks.map(destination =>
      owned(
        peer,
        routeObject({
          destination,
          gateway: peer.address,
          link,
          source: hostAddress,
          onLink: true,
          protocol: OUR_PROTOCOL,
        }),
      ),
    ),
  )
  return { table: tableOf([...ways, ...routes]), owners }
}
