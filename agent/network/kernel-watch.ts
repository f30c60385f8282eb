/** Which of the kernel's notifications mean that something of ours may have to be repaired. */
import type { BridgeState } from '../../netplugins/bridge/index.ts'
import { HOST_INTERFACE_PREFIX } from '../../netplugins/bridge/index.ts'
import type { KernelEvent, Link } from '../../netplugins/netlink/index.ts'

/** Bridges that Docker makes for its networks: named after the network's id. */
const DOCKER_BRIDGE_PATTERN = /^br-[0-9a-f]{12}$/

/** `br-0123456789ab`: a bridge whose containers may ask for metadata. */
export function isDockerBridge(link: Pick<Link, 'name' | 'kind'>): boolean {
  return link.kind === 'bridge' && DOCKER_BRIDGE_PATTERN.test(link.name)
}

/** What the events are compared with. */
export interface WatchedState {
  readonly bridgeName: string
  readonly bridge: BridgeState
  readonly dockerBridges: readonly string[]
  /** Whether a host's end belongs to an attachment that nobody is working on. */
  readonly isSettled: (hostInterface: string) => boolean
}

function isLinkOutOfPlace(link: Link, removed: boolean, state: WatchedState): boolean {
  if (link.name === state.bridgeName) {
    const { mac, mtu } = state.bridge
    return removed || !link.up || link.mac !== mac || link.mtu !== mtu
  }
  if (link.name.startsWith(HOST_INTERFACE_PREFIX)) {
    return state.isSettled(link.name) && (removed || !link.up || link.master === undefined)
  }
  return isDockerBridge(link) && state.dockerBridges.includes(link.name) === removed
}

/** Whether the link by which other hosts are reached is another one now, or lets through packets of another size. */
export function changesUplink(event: KernelEvent, uplink: Link | undefined): boolean {
  if (event.kind === 'lost') return true
  if (event.kind === 'address') return uplink === undefined || event.link === uplink.index
  if (event.kind === 'route') return false
  if (uplink === undefined || event.link.index !== uplink.index) return false
  return event.removed || event.link.mtu !== uplink.mtu || event.link.up !== uplink.up
}

/** Whether the event is a reason to look at the host's links and addresses. */
export function needsAttention(event: KernelEvent, state: WatchedState): boolean {
  switch (event.kind) {
    case 'lost':
      return true
    case 'address':
      return true
    case 'route':
      return false
    case 'link':
      return isLinkOutOfPlace(event.link, event.removed, state)
  }
}
