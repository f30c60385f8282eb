/**
 * The links of containers, on whichever network they are: this host's own bridge, or the hosts' flat network. Which one
 * an attachment is on is in its record.
 */
import { explainError, isDroverError, type Logger } from '../../kit/index.ts'
import { BridgeNetwork, limitBandwidth } from '../../netplugins/bridge/index.ts'
import type { CniAttachmentRequest } from '../../netplugins/cni/index.ts'
import { FLAT_BRIDGE, type FlatNetwork } from '../../netplugins/flat/index.ts'
import { networkErrors } from '../../netplugins/index.ts'
import type { Link, RouteSocket } from '../../netplugins/netlink/index.ts'
import { type Attachment, countingAddress6 } from './attachment.ts'
import type { FlatKeeper } from './flat-keeper.ts'
import type { NetworkPlan } from './settings.ts'

export interface ContainerLinksParts {
  readonly bridge: BridgeNetwork
  readonly flat: FlatKeeper
  readonly socket: RouteSocket
  readonly log: Logger
}

/** Whether an attachment is on the network of that kind. */
export function isOfPlan(attachment: Pick<Attachment, 'flat'>, plan: Pick<NetworkPlan, 'network'>): boolean {
  return (attachment.flat !== undefined) === (plan.network.kind === 'flat')
}

/** Whether the host may lead a container to itself: by a published port, or by a service that a pod is behind. */
function reachesItselfByHost({ flat, ports, pod }: Attachment): boolean {
  return flat === undefined && (ports.length > 0 || pod !== undefined)
}

export class ContainerLinks {
  readonly #parts: ContainerLinksParts
  readonly #flatPorts: BridgeNetwork

  constructor(parts: ContainerLinksParts) {
    this.#parts = parts
    this.#flatPorts = new BridgeNetwork(FLAT_BRIDGE, parts.socket)
  }

  /** The flat network that a plan wants; undefined when it wants none. @throws `TryAgainLater` */
  flatOf(plan: NetworkPlan): FlatNetwork | undefined {
    if (plan.network.kind !== 'flat') return undefined
    const { network } = this.#parts.flat
    if (network !== undefined) return network
    throw networkErrors.TryAgainLater({ object: 'flat network', message: 'is not there yet' })
  }

  /**
   * Connects a container. All of it or nothing.
   *
   * @param mtu of a link to the host's own bridge, in bytes
   * @returns the record, with the address when the network's own server has chosen it
   * @throws like `BridgeNetwork.attach` and `FlatNetwork.attach`
   */
  async attach(attachment: Attachment, plan: NetworkPlan, mtu: number): Promise<Attachment> {
    const flat = this.flatOf(plan)
    if (flat === undefined) {
      const reachesItself = reachesItselfByHost(attachment)
      await this.#parts.bridge.attach({ ...attachment, reachesItself }, { ...plan.bridge, mtu })
      return attachment
    }
    if (plan.network.options.flat?.dhcp !== true) {
      await flat.attach({ ...attachment, reachesItself: false })
      return attachment
    }
    const { address, prefixLength, gateway } = await flat.attachByDhcp(attachment)
    const before = attachment.flat
    return {
      ...attachment,
      address,
      ...(before && { flat: { ...before, prefixLength, gateway: gateway ?? before.gateway } }),
    }
  }

  /** Limits how fast a container may send and receive. @throws like `limitBandwidth` */
  async limit(
    attachment: Attachment,
    bandwidth: NonNullable<CniAttachmentRequest['bandwidth']>,
  ): Promise<void> {
    if (attachment.flat?.mode !== 'macvlan') return await limitBandwidth(attachment, bandwidth)
    this.#parts.log.warn({ container: attachment.containerId }, 'by macvlan, bandwidth cannot be limited')
  }

  /** Disconnects a container; one that is not connected is fine. @throws `KernelRefused`, `PluginFailed` */
  async detach(attachment: Attachment): Promise<void> {
    const { network } = this.#parts.flat
    if (attachment.flat === undefined || network === undefined) {
      await this.#parts.bridge.detach(attachment)
    } else {
      await network.detach(attachment)
    }
  }

  /** @throws `AttachmentBroken` naming the first difference, `NamespaceMissing`, `NetworkNotReady` */
  async check(attachment: Attachment, plan: NetworkPlan): Promise<void> {
    const flat = this.flatOf(plan)
    if (flat !== undefined) return await flat.check(attachment)
    const address6 = countingAddress6(attachment, plan.ipv6Prefix)
    await this.#parts.bridge.check({ ...attachment, address6 }, plan.bridge)
  }

  /** Whether the container's link is there still. */
  async isConnected(attachment: Attachment): Promise<boolean> {
    if (attachment.flat?.mode !== 'macvlan') return await this.#parts.bridge.hasLink(attachment.hostInterface)
    try {
      await this.#parts.flat.network?.check(attachment)
      return this.#parts.flat.network !== undefined
    } catch (error) {
      const gone = ['NamespaceMissing', 'NamespaceRefused', 'AttachmentBroken']
      if (gone.some(code => isDroverError(error, code))) return false
      throw error
    }
  }

  /** Puts a host's end back into place, and the way to metadata. @returns whether the end was out of it */
  async ensure(link: Link, owner: Attachment): Promise<boolean> {
    const bridge = owner.flat === undefined ? this.#parts.bridge : this.#flatPorts
    const repaired = await bridge.ensureHostInterface(link, reachesItselfByHost(owner))
    if (owner.flat !== undefined) await this.#direct(owner)
    return repaired
  }

  async #direct(owner: Attachment): Promise<void> {
    const { flat, log } = this.#parts
    try {
      await flat.network?.direct(owner)
    } catch (error) {
      // It ends just now, or its namespace is known by another name than it was attached with.
      log.warn({ container: owner.containerId, reason: explainError(error) }, 'keeps its way to metadata')
    }
  }
}
