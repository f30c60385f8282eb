/**
 * One bridge on the host, a veth pair from it into every container.
 *
 * Containers see one flat network: the whole cluster's block is on their link, and what is not on this host is
 * answered for by the bridge (proxy ARP). Its address is the same on every host, the first of the block.
 *
 * In IPv6, containers know their gateway alone, and the host knows them, by entries made by hand: every packet passes the
 * host's rules, and there is no neighbour discovery that somebody could lie to.
 */

import { networkErrors } from '../errors.ts'
import {
  addAddress,
  createBridge,
  createVethPair,
  deleteAddress,
  deleteNeighbour,
  getLink,
  isOwnNamespace,
  kernelErrorCode,
  type Link,
  LinkRemover,
  listAddresses,
  listLinks,
  listNeighbours,
  listRoutes,
  neighbourObject,
  type PermanentNeighbour,
  type RouteSocket,
  replaceNeighbour,
  replaceRoute,
  setHairpin,
  setLink,
  tableChanges,
  tableOf,
  withRouteSocket,
} from '../netlink/index.ts'
import { announce } from './announcement.ts'
import { HOST_INTERFACE_PREFIX } from './interface-names.ts'
import { disableIpv6, enableQuietIpv6, enableQuietIpv6Inside, keepOnlyIpv6Address } from './quiet-ipv6.ts'
import { setSysctl } from './sysctl.ts'

/** How the bridge should be. */
export interface BridgeState {
  /** Its address: the containers' default gateway. */
  readonly gateway: string
  readonly prefixLength: number
  readonly mac: string
  readonly mtu: number
  /** Its second address, where containers have IPv6 addresses. */
  readonly ipv6?: Ipv6Gateway
}

/** The containers' router for IPv6: they reach even each other through it. */
export interface Ipv6Gateway {
  readonly address: string
  /** Of the block of all containers. */
  readonly prefixLength: number
}

/** One container's end, and how it should be. */
export interface ContainerInterface {
  /** File of the container's network namespace. */
  readonly namespace: string
  readonly interfaceName: string
  /** The other end, on the host. */
  readonly hostInterface: string
  readonly address: string
  /** Absent where it has IPv4 alone. */
  readonly address6?: string | undefined
  readonly mac: string
  /**
   * Whether it must be able to reach itself by way of the host (a port that it publishes): where bridged packets pass
   * iptables (bridge-nf-call-iptables), the way to itself leads through one and the same port of the bridge.
   */
  readonly reachesItself: boolean
}

const DEFAULT_ROUTE = '0.0.0.0/0'
const DEFAULT_ROUTE_6 = '::/0'

export class BridgeNetwork {
  readonly #name: string
  readonly #socket: RouteSocket
  readonly #remover: LinkRemover

  /**
   * @param name of the bridge; made by `ensure`
   * @param socket of the process's own network namespace
   */
  constructor(name: string, socket: RouteSocket) {
    this.#name = name
    this.#socket = socket
    this.#remover = new LinkRemover(socket)
  }

  /**
   * Makes the bridge as it should be, whatever is there.
   *
   * @throws `KernelRefused`, also when a link of another kind has the bridge's name
   */
  async ensure(state: BridgeState): Promise<void> {
    const present = await getLink(this.#socket, this.#name)
    if (present === undefined) {
      await createBridge(this.#socket, { name: this.#name, mac: state.mac, mtu: state.mtu })
    } else if (present.kind !== 'bridge') {
      throw networkErrors.KernelRefused({
        object: `link ${this.#name}`,
        message: `is not a bridge but ${present.kind ?? 'a device'}`,
        mend: 'rename or remove it',
      })
    } else if (present.mtu !== state.mtu || present.mac !== state.mac || !present.up) {
      await setLink(this.#socket, this.#name, { mtu: state.mtu, mac: state.mac, up: true })
    }
    const { index } = await this.#requireBridge()
    await this.#ensureAddress(index, state)
    await this.#ensureSettings()
    await this.#ensureIpv6(index, state)
  }

  /**
   * Connects a container. All of it or nothing: on failure the pair is removed again.
   *
   * @throws `NamespaceMissing`, `NamespaceRefused` for what is no network namespace or the host's own, `AlreadyAttached`
   *   when the container has an interface of that name, `KernelRefused`
   */
  async attach(container: ContainerInterface, state: BridgeState): Promise<void> {
    const { namespace, hostInterface } = container
    if (await isOwnNamespace(namespace)) {
      throw networkErrors.NamespaceRefused({
        object: `network namespace ${namespace}`,
        message: "is the host's own",
        expected: 'the namespace of a container',
      })
    }
    const bridge = await this.#requireBridge()
    // Entered first: when that is not possible, nothing has been made.
    await withRouteSocket(namespace, async inside => {
      await this.#createPair(container, bridge.index, state.mtu)
      try {
        if (container.reachesItself) await setHairpin(this.#socket, hostInterface, true)
        await configureInside(inside, container, state)
        await this.#introduce(container, bridge.index, state)
      } catch (error) {
        await this.#remover.remove(hostInterface)
        throw error
      }
    })
  }

  /** Disconnects a container; one that is not connected is fine. @throws `KernelRefused` */
  async detach({
    hostInterface,
    address,
    address6,
  }: Pick<ContainerInterface, 'hostInterface' | 'address' | 'address6'>): Promise<void> {
    await this.#remover.remove(hostInterface)
    const bridge = await getLink(this.#socket, this.#name)
    if (bridge === undefined) return
    // The next container with this address may have been given another MAC address.
    await deleteNeighbour(this.#socket, bridge.index, address)
    if (address6 !== undefined) await deleteNeighbour(this.#socket, bridge.index, address6)
  }

  /**
   * Repairs what the host has been told of containers' IPv6 addresses.
   *
   * @param wanted asked once it is known what there is: whom to know, and whom to leave as they are
   * @returns how many entries were missing, wrong or too much
   * @throws `KernelRefused`
   */
  async keepNeighbours(
    wanted: () => {
      readonly known: readonly Pick<PermanentNeighbour, 'address' | 'mac'>[]
      readonly isKept: (address: string) => boolean
    },
  ): Promise<number> {
    const link = (await this.#requireBridge()).index
    const present = (await listNeighbours(this.#socket, link, 6)).flatMap(({ address, mac, permanent }) =>
      permanent && mac !== undefined ? [{ link, address, mac }] : [],
    )
    const { known, isKept } = wanted()
    const desired = tableOf(known.map(entry => neighbourObject({ link, ...entry })))
    const ours = present.filter(entry => desired.has(neighbourObject(entry).key) || !isKept(entry.address))
    const { additions, removals } = tableChanges(tableOf(ours.map(neighbourObject)), desired)
    const requests = [...removals, ...additions].map(({ request }) => request)
    // Nothing is awaited in between: whoever comes or goes now asks the kernel after this.
    const [failure] = (await this.#socket.batch(requests)).filter(error => error !== undefined)
    if (failure !== undefined) throw failure
    return requests.length
  }

  /**
   * Compares a container's connection with what it should be.
   *
   * @throws `AttachmentBroken` naming the first difference, `NamespaceMissing`
   */
  async check(container: Omit<ContainerInterface, 'reachesItself'>, state: BridgeState): Promise<void> {
    const broken = (message: string) =>
      networkErrors.AttachmentBroken({
        object: `interface ${container.interfaceName} of ${container.namespace}`,
        message,
      })
    const bridge = await this.#requireBridge()
    const outside = await getLink(this.#socket, container.hostInterface)
    if (outside === undefined) throw broken(`its other end ${container.hostInterface} is missing`)
    if (outside.master !== bridge.index)
      throw broken(`${container.hostInterface} is not a port of ${this.#name}`)
    if (!outside.up) throw broken(`${container.hostInterface} is down`)
    await withRouteSocket(container.namespace, async socket => {
      const inside = await getLink(socket, container.interfaceName)
      if (inside === undefined) throw broken('is missing')
      if (!inside.up) throw broken('is down')
      if (inside.mac !== container.mac)
        throw broken(`has the MAC address ${inside.mac}, not ${container.mac}`)
      const addresses = await listAddresses(socket, inside.index)
      const has = addresses.some(
        entry => entry.address === container.address && entry.prefixLength === state.prefixLength,
      )
      if (!has) throw broken(`does not have the address ${container.address}/${state.prefixLength}`)
      const { address6 } = container
      if (address6 === undefined || state.ipv6 === undefined) return
      const has6 = (await listAddresses(socket, inside.index, 6)).some(entry => entry.address === address6)
      if (!has6) throw broken(`does not have the address ${address6}`)
      const routes = await listRoutes(socket, { family: 6 })
      const leaves = routes.some(
        ({ destination, gateway }) => destination === DEFAULT_ROUTE_6 && gateway === state.ipv6?.address,
      )
      if (!leaves) throw broken(`has no default route by ${state.ipv6.address}`)
    })
  }

  /** The host's ends of containers' connections, by name, connected to the bridge or not. */
  async hostInterfaces(): Promise<Map<string, Link>> {
    const links = await listLinks(this.#socket)
    const ours = links.filter(link => link.kind === 'veth' && link.name.startsWith(HOST_INTERFACE_PREFIX))
    return new Map(ours.map(link => [link.name, link]))
  }

  /** Puts a host's end back into place. @returns whether it was out of it */
  async ensureHostInterface(link: Link, reachesItself: boolean): Promise<boolean> {
    const bridge = await this.#requireBridge()
    if (link.master === bridge.index && link.up && link.hairpin === reachesItself) return false
    await setLink(this.#socket, link.name, { master: bridge.index, up: true })
    await setHairpin(this.#socket, link.name, reachesItself)
    return true
  }

  /**
   * Lets both ends of a container's connection carry packets of another size.
   *
   * @param mtu in bytes
   * @throws `NamespaceMissing` when the container is gone, `KernelRefused`
   */
  async resize(
    {
      namespace,
      interfaceName,
      hostInterface,
    }: Pick<ContainerInterface, 'namespace' | 'interfaceName' | 'hostInterface'>,
    mtu: number,
  ): Promise<void> {
    await withRouteSocket(namespace, socket => setLink(socket, interfaceName, { mtu }))
    // Last: it is what tells that there is nothing to do any more.
    await setLink(this.#socket, hostInterface, { mtu })
  }

  /** Whether there is a link of that name, now. */
  async hasLink(name: string): Promise<boolean> {
    return (await getLink(this.#socket, name)) !== undefined
  }

  /** Deletes a host's end that nobody owns. */
  async removeHostInterface(name: string): Promise<void> {
    await this.#remover.remove(name)
  }

  /** Deletes the bridge. */
  async remove(): Promise<void> {
    await this.#remover.remove(this.#name)
  }

  /** Tells the host where the container's IPv6 address is. */
  async #introduce({ address6, mac }: ContainerInterface, link: number, state: BridgeState): Promise<void> {
    if (address6 === undefined || state.ipv6 === undefined) return
    await replaceNeighbour(this.#socket, { link, address: address6, mac })
  }

  async #requireBridge(): Promise<Link> {
    const bridge = await getLink(this.#socket, this.#name)
    if (bridge !== undefined) return bridge
    throw networkErrors.NetworkNotReady({ object: `bridge ${this.#name}`, message: 'is missing' })
  }

  async #ensureAddress(link: number, state: BridgeState): Promise<void> {
    const addresses = await listAddresses(this.#socket, link)
    const isWanted = ({ address, prefixLength }: { address: string; prefixLength: number }) =>
      address === state.gateway && prefixLength === state.prefixLength
    for (const entry of addresses) if (!isWanted(entry)) await deleteAddress(this.#socket, entry)
    if (!addresses.some(isWanted)) {
      await addAddress(this.#socket, { link, address: state.gateway, prefixLength: state.prefixLength })
    }
  }

  async #ensureSettings(): Promise<void> {
    await setSysctl('net/ipv4/ip_forward', '1')
    await setSysctl(`net/ipv4/conf/${this.#name}/proxy_arp`, '1')
    // Otherwise the first packet to a container of another host waits for up to 800 ms: proxies are meant to let the
    // real owner of an address answer first, and here there is none.
    await setSysctl(`net/ipv4/neigh/${this.#name}/proxy_delay`, '0')
  }

  /** No container may tell the host about IPv6 routers (CVE-2020-13401). */
  async #ensureIpv6(link: number, { ipv6 }: BridgeState): Promise<void> {
    if (ipv6 === undefined) return await disableIpv6(this.#name)
    await enableQuietIpv6(this.#name)
    await keepOnlyIpv6Address(this.#socket, link, ipv6)
  }

  async #createPair(container: ContainerInterface, master: number, mtu: number): Promise<void> {
    const { hostInterface, interfaceName, mac, namespace } = container
    const pair = { name: hostInterface, mtu, master, peer: { name: interfaceName, mac, namespace } }
    const isTaken = (error: unknown) => kernelErrorCode(error) === 'EEXIST'
    try {
      await createVethPair(this.#socket, pair)
    } catch (error) {
      if (!isTaken(error)) throw error
      // A left-over of a process that ended in the middle: its other end may be what is in the way inside.
      await this.#remover.remove(hostInterface)
      await createVethPair(this.#socket, pair).catch((cause: unknown) => {
        if (!isTaken(cause)) throw cause
        throw networkErrors.AlreadyAttached({
          object: `network namespace ${namespace}`,
          message: `has an interface ${interfaceName} already`,
          cause,
        })
      })
    }
  }
}

/** Gives the container's end what it needs. @param socket in the container's namespace */
async function configureInside(
  socket: RouteSocket,
  container: ContainerInterface,
  state: BridgeState,
): Promise<void> {
  const { interfaceName, namespace } = container
  const link = (await getLink(socket, interfaceName))?.index
  if (link === undefined) {
    throw networkErrors.AttachmentBroken({
      object: `interface ${interfaceName} of ${namespace}`,
      message: 'vanished',
    })
  }
  await addAddress(socket, { link, address: container.address, prefixLength: state.prefixLength })
  const hasIpv6 = container.address6 !== undefined && state.ipv6 !== undefined
  // Before the link is up: afterwards it would say something by itself.
  if (hasIpv6) enableQuietIpv6Inside(namespace, interfaceName)
  await setLink(socket, interfaceName, { up: true })
  await replaceRoute(socket, { destination: DEFAULT_ROUTE, gateway: state.gateway, link })
  if (hasIpv6) await configureIpv6(socket, link, container.address6, state.ipv6, state.mac)
  // Whoever had the address before may have had another MAC address.
  announce(namespace, link, container.mac, container.address)
}

/** The gateway is all that a container knows of its link in IPv6. @param mac of the gateway */
async function configureIpv6(
  socket: RouteSocket,
  link: number,
  address: string,
  gateway: Ipv6Gateway,
  mac: string,
): Promise<void> {
  await addAddress(socket, { link, address, prefixLength: 128 })
  await replaceNeighbour(socket, { link, address: gateway.address, mac })
  await replaceRoute(socket, { destination: `${gateway.address}/128`, gateway: undefined, link })
  await replaceRoute(socket, { destination: DEFAULT_ROUTE_6, gateway: gateway.address, link })
}
