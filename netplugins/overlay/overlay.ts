/**
 * What every way of carrying packets between hosts has in common, so that `agent/network` treats them alike: it says
 * which other hosts there are, and the overlay brings the kernel there. State is per peer host and address block, never
 * per container.
 */
import type { Ipv6Prefix } from '../../kit/index.ts'
import type { KernelEvent } from '../netlink/index.ts'

/** Another host of the cluster. */
export interface Peer {
  readonly hostId: string
  /** For logs and listings. */
  readonly name: string
  /** By which this host reaches it. */
  readonly address: string
  /** CIDR blocks whose container addresses are there. */
  readonly blocks: readonly string[]
  /** Labels of the host (`io.rancher.network.*`). */
  readonly labels: Readonly<Record<string, string>>
}

/** What an overlay has to bring about on this host. */
export interface OverlayState {
  /** By which the other hosts reach this one. */
  readonly address: string
  /** All containers of the cluster have addresses in this block. */
  readonly clusterBlock: string
  /** Of these, the containers of this host have addresses. */
  readonly blocks: readonly string[]
  /** The bridge with this host's containers, and its address. */
  readonly bridgeName: string
  readonly gateway: string
  /** Containers have the IPv6 address too that this makes of their IPv4 address; absent where they have none. */
  readonly ipv6Prefix?: Ipv6Prefix | undefined
  /** In a stable order, without this host. */
  readonly peers: readonly Peer[]
}

/** How the way to one peer is. */
export interface PeerState {
  readonly hostId: string
  readonly name: string
  readonly address: string
  /** `refused`: the peer (or we) rejected the credentials; it is tried again with growing pauses. */
  readonly state: 'up' | 'connecting' | 'down' | 'refused'
  /** Why it is not up. */
  readonly reason?: string
}

/**
 * Firewall rules, in exactly the words of iptables-save, without the chain. `input`: on packets to an address of this host,
 * before anybody else's · `forward`: on forwarded packets, the first in our chain of the table
 * filter: what may pass although the policy is DROP, TCPMSS · `nat`: on packets that leave, before containers are hidden
 * behind the host's address (POSTROUTING).
 */
export interface OverlayRules {
  readonly input: readonly string[]
  readonly forward: readonly string[]
  readonly nat: readonly string[]
}

/** Of an overlay that needs none. */
export const NO_OVERLAY_RULES: OverlayRules = { input: [], forward: [], nat: [] }

export interface Overlay {
  /** Bytes by which it makes a packet longer; subtracted from the uplink's MTU. */
  readonly overhead: number
  /**
   * Brings the host from the last applied state to this one; the work is proportional to the change. The first call
   * looks at everything, like `verify`.
   *
   * @throws `KernelRefused` and its own errors; what could be done for other peers is done nevertheless
   */
  apply(state: OverlayState): Promise<void>
  /** Compares everything with the kernel and repairs it. @returns how many things were not as they should be */
  verify(state: OverlayState): Promise<number>
  /** Whether something that it looks after may have been changed by somebody else. */
  concerns(event: KernelEvent): boolean
  /** Pure: the firewall rules that this state needs. */
  rules(state: OverlayState): OverlayRules
  /** The same for the rules of IPv6; none without a prefix. */
  rules6(state: OverlayState): OverlayRules
  peerStates(): readonly PeerState[]
  /** Stops what runs in this process (sockets, timers, children that must not outlive it); the kernel's state stays. */
  close(): Promise<void>
  /** Removes everything of it from the host, also what an earlier process made. Idempotent. */
  remove(): Promise<void>
}
