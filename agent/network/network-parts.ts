/** Opens the parts of a host's network from what is on disk, and joins them. */
import path from 'node:path'
import { type Logger, makePrivateDirectory, removeInterruptedWrites } from '../../kit/index.ts'
import { BridgeNetwork } from '../../netplugins/bridge/index.ts'
import { AddressPool } from '../../netplugins/ipam/index.ts'
import { NO_RULES } from '../../netplugins/iptables/index.ts'
import { RouteSocket } from '../../netplugins/netlink/index.ts'
import { AttachmentKeeper } from './attachment-keeper.ts'
import { AttachmentStore } from './attachment-store.ts'
import { Attachments } from './attachments.ts'
import { Firewall } from './firewall.ts'
import { firewallRules } from './firewall-rules.ts'
import { PublishedPorts } from './published-ports.ts'
import type { NetworkPlan } from './settings.ts'

/** What changes while the parts work. */
export interface NetworkState {
  /** Undefined until somebody said what the network is. */
  plan: NetworkPlan | undefined
  /** Bridges of Docker networks beside `docker0`, whose containers may ask for metadata. */
  dockerBridges: readonly string[]
}

export interface NetworkPartsOptions {
  readonly directory: string
  readonly bridgeName: string
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
  readonly attachments: Attachments
  readonly keeper: AttachmentKeeper
}

export async function openNetworkParts(options: NetworkPartsOptions): Promise<NetworkParts> {
  const { directory, bridgeName, state, log } = options
  await makePrivateDirectory(directory)
  await removeInterruptedWrites(directory)
  const pool = await AddressPool.open(path.join(directory, 'addresses'), log)
  const store = await AttachmentStore.open(path.join(directory, 'attachments'), log)
  const socket = RouteSocket.open()
  const bridge = new BridgeNetwork(bridgeName, socket)
  const ports = new PublishedPorts(log)
  const firewall = new Firewall(() => {
    const { plan, dockerBridges } = state
    if (plan === undefined) return NO_RULES
    return firewallRules({ plan, bridgeName, attachments: store.list(), dockerBridges })
  }, log)
  const attachments = new Attachments({
    bridgeName,
    bridge,
    pool,
    store,
    ports,
    firewall,
    plan: () => state.plan,
    requireReady: options.requireReady,
    changed: options.changed,
    addressesLow: options.addressesLow,
    log,
  })
  const keeper = new AttachmentKeeper({ bridge, pool, store, attachments, log })
  return { socket, bridge, pool, store, ports, firewall, attachments, keeper }
}
