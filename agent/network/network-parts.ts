/** Opens the parts of a host's network from what is on disk, and joins them. */
import path from 'node:path'
import {
  formatIpv4Block,
  type Logger,
  makePrivateDirectory,
  removeInterruptedWrites,
} from '../../kit/index.ts'
import { BridgeNetwork, HOST_INTERFACE_PREFIX } from '../../netplugins/bridge/index.ts'
import { FLAT_BRIDGE } from '../../netplugins/flat/index.ts'
import { AddressPool } from '../../netplugins/ipam/index.ts'
import { NO_RULES } from '../../netplugins/iptables/index.ts'
import { type Link, RouteSocket } from '../../netplugins/netlink/index.ts'
import { NO_OVERLAY_RULES, type OverlayState, type Peer } from '../../netplugins/overlay/index.ts'
import { SourceGuard } from '../../netplugins/source-guard/index.ts'
import { AttachmentKeeper } from './attachment-keeper.ts'
import { AttachmentStore } from './attachment-store.ts'
import { Attachments } from './attachments.ts'
import { ContainerLinks } from './container-links.ts'
import { DualStack } from './dual-stack.ts'
import { Firewall } from './firewall.ts'
import { firewallRules } from './firewall-rules.ts'
import { firewallRules6 } from './firewall-rules6.ts'
import { FlatKeeper } from './flat-keeper.ts'
import { FlowOffloadKeeper } from './flow-offload-keeper.ts'
import { type OverlayFactory, OverlayKeeper } from './overlay-keeper.ts'
import { PolicyKeeper } from './policy-keeper.ts'
import { PublishedPorts } from './published-ports.ts'
import type { NetworkPlan } from './settings.ts'

/** What changes while the parts work. */
export interface NetworkState {
  /** Undefined until somebody said what the network is. */
  plan: NetworkPlan | undefined
  /** Bridges of Docker networks beside `docker0`, whose containers may ask for metadata. */
  dockerBridges: readonly string[]
  /** The other hosts of the cluster. */
  peers: readonly Peer[]
  /** The link by which they are reached, as it was last seen. */
  uplink?: Link | undefined
  /** Whether services have endpoints on this host. */
  bridgedServices: boolean
}

export interface NetworkPartsOptions {
  readonly directory: string
  readonly bridgeName: string
  readonly createOverlay: OverlayFactory | undefined
  /** Called when the way to a peer changed by itself. */
  readonly overlayChanged: () => void
  readonly state: NetworkState
  readonly requireReady: () => void
  readonly changed: () => void
  readonly addressesLow: (free: number) => void
  readonly log: Logger
}

export interface NetworkParts {
  readonly socket: RouteSocket
  readonly bridge: BridgeNetwork
  readonly pool: AddressPool
  readonly store: AttachmentStore
  readonly ports: PublishedPorts
  readonly firewall: Firewall
  /** Of IPv6; does nothing where containers have no IPv6 addresses. */
  readonly firewall6: Firewall
  readonly dualStack: DualStack
  readonly flowOffload: FlowOffloadKeeper
  readonly guard: SourceGuard
  readonly policy: PolicyKeeper
  readonly attachments: Attachments
  readonly keeper: AttachmentKeeper
  readonly overlay: OverlayKeeper
  readonly flat: FlatKeeper
}

export async function openNetworkParts(options: NetworkPartsOptions): Promise<NetworkParts> {
  const { directory, bridgeName, state, log } = options
  await makePrivateDirectory(directory)
  await removeInterruptedWrites(directory)
  const pool = await AddressPool.open(path.join(directory, 'addresses'), log)
  const store = await AttachmentStore.open(path.join(directory, 'attachments'), log)
  const socket = RouteSocket.open()
  const dualStack = await DualStack.open({ directory, log })
  const flowOffload = await FlowOffloadKeeper.open({ directory, bridgeName, socket, log })
  const bridge = new BridgeNetwork(bridgeName, socket)
  const ports = new PublishedPorts(log)
  const guard = new SourceGuard({ linkPrefix: HOST_INTERFACE_PREFIX, log })
  const syncFirewalls = async () => {
    await firewall.sync()
    await firewall6.sync()
  }
  const overlay: OverlayKeeper = new OverlayKeeper({
    directory,
    create: options.createOverlay,
    socket,
    hostKeys: () => state.plan?.settings.hostKeys,
    changed: options.overlayChanged,
    releaseRules: syncFirewalls,
    log,
  })
  const flat: FlatKeeper = new FlatKeeper({
    directory,
    socket,
    releaseContainers: () => attachments.deleteWhere(attachment => attachment.flat !== undefined),
    log,
  })
  const policy = await PolicyKeeper.open({
    directory,
    bridgeName: () => bridgeOf(state.plan, bridgeName),
    containerBlocks: () => state.plan && containerBlocks(state.plan),
    ipv6Prefix: () => state.plan?.ipv6Prefix,
    bridgedServices: () => state.bridgedServices,
    local: () => store.list().map(attachment => attachment.address),
    syncFirewall: syncFirewalls,
    log,
  })
  const firewall: Firewall = new Firewall(() => {
    const { plan, dockerBridges } = state
    if (plan === undefined) return NO_RULES
    const desired = overlayStateOf(state, bridgeName)
    return firewallRules({
      plan,
      bridgeName,
      attachments: store.list(),
      dockerBridges,
      policy: policy.chains(),
      flatLink: flat.metadataLink,
      overlay: flat.rules() ?? (desired && overlay.rules(desired)),
    })
  }, log)
  const firewall6: Firewall = new Firewall(
    () => {
      const { plan } = state
      if (plan?.ipv6Prefix === undefined) return undefined
      const desired = overlayStateOf(state, bridgeName)
      return firewallRules6({
        prefix: plan.ipv6Prefix,
        clusterBlock: plan.settings.clusterBlock,
        bridgeName,
        forwardsOurs: dualStack.forwardsOurs,
        policy: policy.ipv6Chains(),
        overlay: desired === undefined ? NO_OVERLAY_RULES : overlay.rules6(desired),
      })
    },
    log,
    6,
  )
  const links = new ContainerLinks({ bridge, flat, socket, log })
  const attachments: Attachments = new Attachments({
    bridgeName,
    bridge,
    links,
    pool,
    store,
    ports,
    firewall,
    guard,
    plan: () => state.plan,
    requireReady: options.requireReady,
    policySettled: () => policy.settle(),
    changed: options.changed,
    addressesLow: options.addressesLow,
    log,
  })
  const keeper = new AttachmentKeeper({ bridge, links, pool, store, attachments, log })
  return {
    ...{ socket, bridge, pool, store, ports, firewall, firewall6, dualStack, flowOffload },
    ...{ guard, policy, attachments, keeper, overlay, flat },
  }
}

/** What the overlay should be; undefined while that is not known. */
export function overlayStateOf({ plan, peers }: NetworkState, bridgeName: string): OverlayState | undefined {
  if (plan === undefined || plan.settings.address === undefined) return undefined
  const { address, clusterBlock, blocks } = plan.settings
  return {
    address,
    clusterBlock,
    blocks,
    bridgeName,
    gateway: plan.bridge.gateway,
    ipv6Prefix: plan.ipv6Prefix,
    peers,
  }
}

/**
 * Where the addresses of all containers of the cluster are. On the hosts' own network others have addresses too, whom
 * policies between containers do not concern; but which of them a DHCP server gives to containers, only it knows.
 */
function containerBlocks({ network, subnet, blocks }: NetworkPlan): readonly string[] {
  const isRange = network.kind === 'flat' && network.options.flat?.dhcp !== true
  return (isRange ? blocks : [subnet]).map(formatIpv4Block)
}

/** The bridge that containers are connected to. */
function bridgeOf(plan: NetworkPlan | undefined, own: string): string | undefined {
  if (plan?.network.kind !== 'flat') return own
  return plan.network.options.flat?.mode === 'macvlan' ? undefined : FLAT_BRIDGE
}
