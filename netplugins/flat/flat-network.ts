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
  readonly log: Logger
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

  constructor({ options, labels, metadataAddress, directory, socket, log }: FlatNetworkOptions) {
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
    return { raw: [], forward, nat: [] }
  }

  /**
   * Asks the network whether somebody has an address already: to be called before a container gets it.
   *
   * @throws `AddressInUse` naming who, `NetworkNotReady`
   */
  async requireFree(address: string): Promise<void> {
    const link = await this.#requireLink(this.#isMacvlan ? this.#interface : FLAT_BRIDGE)
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
    const { mac, address } = container
    if (this.#isMacvlan) {
      await this.#attachMacvlan(container)
      announceAddress(await this.#requireLink(this.#interface), mac, address)
      return
    }
    const bridge = await this.#requireLink(FLAT_BRIDGE)
    const gateway = await this.#bridgeAddress(bridge)
    await this.#ports.attach(container, this.#stateOf(bridge))
    try {
      await withRouteSocket(container.namespace, async inside => {
        const link = (await getLink(inside, container.interfaceName))?.index ?? 0
        // Past the router: the host answers itself, and sees who asks.
        await replaceRoute(inside, { destination: `${this.#metadataAddress}/32`, gateway, link })
      })
      announceAddress(bridge, mac, address)
    } catch (error) {
      await this.#ports.detach(container.hostInterface, address)
      throw error
    }
  }

  /** Disconnects a container; one that is not connected, or gone, is fine. @throws `KernelRefused` */
  async detach(container: Omit<ContainerInterface, 'mac' | 'reachesItself'>): Promise<void> {
    const { address, hostInterface } = container
    if (!this.#isMacvlan) {
      await this.#ports.detach(hostInterface, address)
      return
    }
    await this.#side.forget(address)
    await deleteInside(container)
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

  async #attachMacvlan(container: ContainerInterface): Promise<void> {
    const { namespace, interfaceName, mac, address } = container
    if (await isOwnNamespace(namespace)) {
      throw networkErrors.NamespaceRefused({
        object: `network namespace ${namespace}`,
        message: "is the host's own",
        expected: 'the namespace of a container',
      })
    }
    const parent = await this.#requireLink(this.#interface)
    const { mtu } = parent
    const { prefixLength, gateway } = this.#stateOf(parent)
    const macvlan = { name: interfaceName, parent: parent.index, mac, mtu, namespace }
    await createMacvlan(this.#socket, macvlan).catch((cause: unknown) => {
      if (kernelErrorCode(cause) !== 'EEXIST') throw cause
      throw networkErrors.AlreadyAttached({ object: `network namespace ${namespace}`, cause })
    })
    try {
      await withRouteSocket(namespace, async inside => {
        const link = (await getLink(inside, interfaceName))?.index ?? 0
        await addAddress(inside, { link, address, prefixLength })
        await setLink(inside, interfaceName, { up: true })
        await replaceRoute(inside, { destination: '0.0.0.0/0', gateway, link })
      })
      await this.#side.introduce(container)
    } catch (error) {
      await this.#side.forget(address)
      await deleteInside(container)
      throw error
    }
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
