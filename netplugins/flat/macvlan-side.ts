/**
 * The host's side of containers that are on its network by macvlan: such links do not reach the host by its interface.
 * So the host gets a link of its own among them, on which containers ask for metadata, and no packet of which ever
 * leaves: both sides know each other's MAC address, nobody asks by ARP.
 */
import { macOfAddress, setSysctl } from '../bridge/index.ts'
import { networkErrors } from '../errors.ts'
import {
  createMacvlan,
  deleteNeighbour,
  deleteRoute,
  getLink,
  type Link,
  LinkRemover,
  listRoutes,
  OUR_PROTOCOL,
  type RouteSocket,
  replaceNeighbour,
  replaceRoute,
  setLink,
  withRouteSocket,
} from '../netlink/index.ts'

export const HOST_SIDE = 'flatmv0'

/** The host's link of that kind never answers ARP: the wire it is on is everybody's. */
const ANSWER_NOTHING = '8'

export class MacvlanSide {
  readonly #socket: RouteSocket
  readonly #remover: LinkRemover
  readonly #metadataAddress: string

  constructor(socket: RouteSocket, metadataAddress: string) {
    this.#socket = socket
    this.#remover = new LinkRemover(socket)
    this.#metadataAddress = metadataAddress
  }

  /** @returns how many things were not as they should be. @throws `KernelRefused` */
  async ensure(parent: Link): Promise<number> {
    const mac = macOfAddress(this.#metadataAddress)
    const link = await getLink(this.#socket, HOST_SIDE)
    const isUsable = link?.kind === 'macvlan' && link.parent === parent.index
    if (link !== undefined && !isUsable) await this.#remover.remove(HOST_SIDE)
    if (!isUsable) {
      const { index, mtu } = parent
      await createMacvlan(this.#socket, { name: HOST_SIDE, parent: index, mac, mtu })
      await setSysctl(`net/ipv4/conf/${HOST_SIDE}/arp_ignore`, ANSWER_NOTHING)
      return 1
    }
    if (link.up && link.mac === mac) return 0
    await setLink(this.#socket, HOST_SIDE, { up: true, mac })
    return 1
  }

  /** Lets the host and a container reach each other. @throws `KernelRefused`, `NetworkNotReady` */
  async introduce(container: {
    namespace: string
    interfaceName: string
    address: string
    mac: string
  }): Promise<void> {
    const { address, mac } = container
    const side = await this.#require()
    await replaceNeighbour(this.#socket, { link: side.index, address, mac })
    await replaceRoute(this.#socket, {
      destination: `${address}/32`,
      gateway: undefined,
      link: side.index,
      protocol: OUR_PROTOCOL,
    })
    await withRouteSocket(container.namespace, async inside => {
      const link = (await getLink(inside, container.interfaceName))?.index ?? 0
      const metadata = this.#metadataAddress
      await replaceNeighbour(inside, { link, address: metadata, mac: macOfAddress(metadata) })
      await replaceRoute(inside, { destination: `${metadata}/32`, gateway: undefined, link })
    })
  }

  async forget(address: string): Promise<void> {
    const side = await getLink(this.#socket, HOST_SIDE)
    if (side === undefined) return
    const routes = await listRoutes(this.#socket, { protocol: OUR_PROTOCOL })
    for (const route of routes) {
      if (route.link === side.index && route.destination === `${address}/32`)
        await deleteRoute(this.#socket, route)
    }
    await deleteNeighbour(this.#socket, side.index, address)
  }

  async remove(): Promise<void> {
    await this.#remover.remove(HOST_SIDE)
  }

  async #require(): Promise<Link> {
    const side = await getLink(this.#socket, HOST_SIDE)
    if (side !== undefined) return side
    throw networkErrors.NetworkNotReady({ object: `link ${HOST_SIDE}`, message: 'is missing' })
  }
}
