/** Containers on the hosts' own network: by a bridge in the place of the host's interface, or beside it by macvlan. */
import {
  formatIpv4,
  type Ipv4Block,
  isDroverError,
  type Logger,
  parseIpv4,
  requireIpv4Block,
} from '../../kit/index.ts'
import type { FlatOptions } from '../../protocol/index.ts'
import { BridgeNetwork, type BridgeState, type ContainerInterface } from '../bridge/index.ts'
import { networkErrors } from '../errors.ts'
import {
  addAddress,
  createMacvlan,
  createVethPair,
  deleteLink,
  getLink,
  isOwnNamespace,
  type KernelEvent,
  kernelErrorCode,
  type Link,
  listAddresses,
  type RouteSocket,
  replaceRoute,
  setLink,
  withRouteSocket,
} from '../netlink/index.ts'
import type { OverlayRules } from '../overlay/index.ts'
import { blocksOfRange } from './address-range.ts'
import { announceAddress, findDuplicate } from './arp.ts'
import type { DhcpLease, DhcpLeases } from './dhcp-leases.ts'
import { FlatBridge } from './flat-bridge.ts'
import { HOST_SIDE, MacvlanSide } from './macvlan-side.ts'
import { ensureGuard, removeGuard } from './metadata-guard.ts'
import { TakeoverJournal } from './takeover-journal.ts'

export const FLAT_BRIDGE = 'flatbr0'

/** Label by which a host says that another of its interfaces is on the network. */
export const INTERFACE_LABEL = 'io.rancher.network.l2flat.interface'

export interface FlatNetworkOptions {
  readonly options: FlatOptions
  /** Labels of this host. */
  readonly labels: Readonly<Record<string, string>>
  readonly metadataAddress: string
  /** Where it is written down how to give the interface back. */
  readonly directory: string
  /** Of the process's own network namespace; stays the caller's. */
  readonly socket: RouteSocket
  /** Where the addresses come from when the option `dhcp` is on. */
  readonly leases: DhcpLeases
  readonly log: Logger
}

/** A container whose address is not known yet. */
export interface UnaddressedContainer extends Omit<ContainerInterface, 'address' | 'reachesItself'> {
  readonly containerId: string
}

export class FlatNetwork {
  readonly #options: FlatOptions
  readonly #metadataAddress: string
  readonly #socket: RouteSocket
  readonly #log: Logger
  readonly #interface: string
  readonly #bridge: FlatBridge
  readonly #ports: BridgeNetwork
  readonly #side: MacvlanSide
  readonly #leases: DhcpLeases
  /** By which address of this host containers ask for metadata, by the host's end of their link. */
  readonly #directed = new Map<string, string>()

  constructor({ options, labels, metadataAddress, directory, socket, leases, log }: FlatNetworkOptions) {
    this.#leases = leases
    this.#options = options
    this.#metadataAddress = metadataAddress
    this.#socket = socket
    this.#log = log
    const labelled = labels[INTERFACE_LABEL]?.trim()
    this.#interface = labelled === undefined || labelled === '' ? options.interface : labelled
    this.#bridge = new FlatBridge({
      interface: this.#interface,
      bridge: FLAT_BRIDGE,
      socket,
      journal: new TakeoverJournal(directory),
      log,
    })
    this.#ports = new BridgeNetwork(FLAT_BRIDGE, socket)
    this.#side = new MacvlanSide(socket, metadataAddress)
  }

  /** The link on which this host's containers ask for metadata: the firewall must let it. */
  get metadataLink(): string {
    return this.#isMacvlan ? HOST_SIDE : FLAT_BRIDGE
  }

  /** What the address pool hands out. @throws `InvalidFormat` */
  addressBlocks(): { readonly subnet: Ipv4Block; readonly blocks: readonly Ipv4Block[] } {
    const { subnet, rangeStart, rangeEnd } = this.#options
    return {
      subnet: requireIpv4Block(subnet, 'subnet'),
      blocks: blocksOfRange(subnet, rangeStart, rangeEnd),
    }
  }

  /**
   * Brings the host there, or repairs it.
   *
   * @returns how many things were not as they should be
   * @throws those of `FlatBridge.ensure`
   */
  async ensure(): Promise<number> {
    if (this.#isMacvlan) {
      // From another mode.
      await this.#bridge.remove()
      return await this.#side.ensure(await this.#requireLink(this.#interface))
    }
    await this.#side.remove()
    const repairs = await this.#bridge.ensure()
    return repairs + Number(await ensureGuard(this.#interface, this.#metadataAddress))
  }

  concerns(event: KernelEvent): boolean {
    if (!this.#isMacvlan) return this.#bridge.concerns(event)
    if (event.kind === 'lost') return true
    return event.kind === 'link' && event.link.name === HOST_SIDE && (event.removed || !event.link.up)
  }

  /**
   * What the firewall must let pass. Where bridged packets go through iptables (br_netfilter, which Docker turns on), a
   * DROP policy would stop those between containers and the network.
   */
  rules(): OverlayRules {
    const forward = this.#isMacvlan ? [] : [`-i ${FLAT_BRIDGE} -o ${FLAT_BRIDGE} -j ACCEPT`]
    return { input: [], forward, nat: [] }
  }

  /**
   * Asks the network whether somebody has an address already: to be called before a container gets it.
   *
   * @throws `AddressInUse` naming who, `NetworkNotReady`
   */
  async requireFree(address: string): Promise<void> {
    const link = await this.#parent()
    const { gateway } = this.#options
    const own = await listAddresses(this.#socket)
    const owner =
      address === gateway
        ? 'the router'
        : own.some(entry => entry.address === address)
          ? 'this host'
          : await findDuplicate(link, address)
    if (owner === undefined) return
    throw networkErrors.AddressInUse({
      object: `address ${address}`,
      message: `is used on the network already, by ${owner}`,
    })
  }

  /** Connects a container. All of it or nothing. @throws like `BridgeNetwork.attach` */
  async attach(container: ContainerInterface): Promise<void> {
    const parent = await this.#parent()
    const { prefixLength } = requireIpv4Block(this.#options.subnet, 'subnet')
    await this.#connect(container, parent)
    try {
      await this.#configure(
        container,
        { address: container.address, prefixLength, gateway: undefined },
        parent,
      )
    } catch (error) {
      await this.#disconnect(container)
      throw error
    }
  }

  /**
   * Connects a container with an address of the network's DHCP server. All of it or nothing.
   *
   * @returns the address, for `detach`
   * @throws like `attach`, and `PluginFailed`, `PluginMissing`
   */
  async attachByDhcp(container: UnaddressedContainer): Promise<DhcpLease> {
    const parent = await this.#parent()
    await this.#connect(container, parent)
    try {
      const lease = await this.#leases.lease(container)
      await this.#configure(container, lease, parent)
      return lease
    } catch (error) {
      await this.#leases.release(container).catch(() => undefined)
      await this.#disconnect(container)
      throw error
    }
  }

  /**
   * Leads a container's questions for metadata to this host's address as it is now: the host may have got another one.
   *
   * @returns whether it was another one, or nobody knows
   * @throws `NamespaceMissing` when the container is gone, `NetworkNotReady`, `KernelRefused`
   */
  async direct(
    container: Pick<ContainerInterface, 'namespace' | 'interfaceName' | 'hostInterface'>,
  ): Promise<boolean> {
    if (this.#isMacvlan) return false
    const { namespace, interfaceName, hostInterface } = container
    const gateway = await this.#bridgeAddress(await this.#parent())
    if (this.#directed.get(hostInterface) === gateway) return false
    await withRouteSocket(namespace, async inside => {
      const link = (await getLink(inside, interfaceName))?.index ?? 0
      await replaceRoute(inside, { destination: `${this.#metadataAddress}/32`, gateway, link })
    })
    this.#directed.set(hostInterface, gateway)
    return true
  }

  /** Disconnects a container; one that is not connected, or gone, is fine. @throws `KernelRefused`, `PluginFailed` */
  async detach(container: UnaddressedContainer & { readonly address: string }): Promise<void> {
    if (this.#options.dhcp) await this.#leases.release(container)
    if (this.#isMacvlan) await this.#side.forget(container.address)
    await this.#disconnect(container)
  }

  /** Compares a container's connection with what it should be. @throws `AttachmentBroken`, `NamespaceMissing` */
  async check(container: Omit<ContainerInterface, 'reachesItself'>): Promise<void> {
    if (!this.#isMacvlan) {
      await this.#ports.check(container, this.#stateOf(await this.#requireLink(FLAT_BRIDGE)))
      return
    }
    const { namespace, interfaceName, mac, address } = container
    await withRouteSocket(namespace, async inside => {
      const link = await getLink(inside, interfaceName)
      const own = link === undefined ? [] : await listAddresses(inside, link.index)
      if (link?.up === true && link.mac === mac && own.some(entry => entry.address === address)) return
      throw networkErrors.AttachmentBroken({
        object: `interface ${interfaceName} of ${namespace}`,
        message: `is missing, down, or lacks the address ${address} or ${mac}`,
      })
    })
  }

  /** Gives the interface back, and removes everything else of this host. Idempotent. */
  async remove(): Promise<void> {
    await this.#leases.remove()
    await this.#side.remove()
    await this.#bridge.remove()
    await removeGuard().catch((error: unknown) => {
      // A host without nft has no guard either.
      this.#log.debug({ error: String(error) }, 'has no guard of the metadata address')
    })
  }

  get #isMacvlan(): boolean {
    return this.#options.mode === 'macvlan'
  }

  #stateOf(link: Link): BridgeState {
    const { prefixLength } = requireIpv4Block(this.#options.subnet, 'subnet')
    return { gateway: this.#options.gateway, prefixLength, mac: link.mac ?? '', mtu: link.mtu }
  }

  async #requireLink(name: string): Promise<Link> {
    const link = await getLink(this.#socket, name)
    if (link !== undefined) return link
    throw networkErrors.NetworkNotReady({ object: `link ${name}`, message: 'is missing' })
  }

  /** The host's address on the containers' network. */
  async #bridgeAddress(bridge: Link): Promise<string> {
    const subnet = requireIpv4Block(this.#options.subnet, 'subnet')
    const size = 2 ** (32 - subnet.prefixLength)
    const own = await listAddresses(this.#socket, bridge.index)
    const near = own.find(({ address }) => {
      const value = parseIpv4(address) ?? 0
      return value - (value % size) === subnet.base
    })
    if (near !== undefined) return near.address
    throw networkErrors.NetworkNotReady({
      object: `bridge ${bridge.name}`,
      message: `has no address of ${formatIpv4(subnet.base)}/${subnet.prefixLength}`,
      mend: 'give the host an address of the subnet, or correct the subnet',
    })
  }

  /** The link whose network the containers are on. */
  async #parent(): Promise<Link> {
    return await this.#requireLink(this.#isMacvlan ? this.#interface : FLAT_BRIDGE)
  }

  /** Makes the container's link, which is up. */
  async #connect(
    container: Omit<ContainerInterface, 'address' | 'reachesItself'>,
    parent: Link,
  ): Promise<void> {
    const { namespace, interfaceName, hostInterface, mac } = container
    if (await isOwnNamespace(namespace)) {
      throw networkErrors.NamespaceRefused({
        object: `network namespace ${namespace}`,
        message: "is the host's own",
        expected: 'the namespace of a container',
      })
    }
    const { index, mtu } = parent
    const create = async () =>
      this.#isMacvlan
        ? await createMacvlan(this.#socket, { name: interfaceName, parent: index, mac, mtu, namespace })
        : await createVethPair(this.#socket, {
            name: hostInterface,
            mtu,
            master: index,
            peer: { name: interfaceName, mac, namespace },
          })
    await create().catch((cause: unknown) => {
      if (kernelErrorCode(cause) !== 'EEXIST') throw cause
      throw networkErrors.AlreadyAttached({ object: `network namespace ${namespace}`, cause })
    })
    await withRouteSocket(namespace, inside => setLink(inside, interfaceName, { up: true }))
  }

  async #configure(
    container: Omit<ContainerInterface, 'address' | 'reachesItself'>,
    { address, prefixLength, gateway = this.#options.gateway }: DhcpLease,
    parent: Link,
  ): Promise<void> {
    const { namespace, interfaceName, mac } = container
    const host = this.#isMacvlan ? undefined : await this.#bridgeAddress(parent)
    await withRouteSocket(namespace, async inside => {
      const link = (await getLink(inside, interfaceName))?.index ?? 0
      await addAddress(inside, { link, address, prefixLength })
      await replaceRoute(inside, { destination: '0.0.0.0/0', gateway, link })
      if (host === undefined) return
      // Past the router: the host answers itself, and sees who asks.
      await replaceRoute(inside, { destination: `${this.#metadataAddress}/32`, gateway: host, link })
    })
    if (host !== undefined) this.#directed.set(container.hostInterface, host)
    if (this.#isMacvlan) await this.#side.introduce({ namespace, interfaceName, address, mac })
    announceAddress(parent, mac, address)
  }

  async #disconnect(container: Omit<ContainerInterface, 'address' | 'mac' | 'reachesItself'>): Promise<void> {
    this.#directed.delete(container.hostInterface)
    if (this.#isMacvlan) await deleteInside(container)
    else await this.#ports.removeHostInterface(container.hostInterface)
  }
}

/** A container whose namespace is gone has no link any more. */
async function deleteInside(of: Pick<ContainerInterface, 'namespace' | 'interfaceName'>): Promise<void> {
  try {
    await withRouteSocket(of.namespace, inside => deleteLink(inside, of.interfaceName))
  } catch (error) {
    if (!isDroverError(error, 'NamespaceMissing') && !isDroverError(error, 'NamespaceRefused')) throw error
  }
}
