/** What is done about each aspect of a host's network: the order is `ASPECTS`', and later ones rely on earlier ones. */
import type { NetworkDriver } from '../../netplugins/driver/index.ts'
import { listLinks } from '../../netplugins/netlink/index.ts'
import type { OverlayState } from '../../netplugins/overlay/index.ts'
import type { Aspect } from './aspects.ts'
import { sourcesOf } from './attachment.ts'
import { reconcileIpv6 } from './ipv6-aspect.ts'
import { isDockerBridge } from './kernel-watch.ts'
import { chooseKind, ensureBridge } from './kind-switch.ts'
import { ensureMetadataAddress } from './metadata-address.ts'
import { type NetworkParts, type NetworkState, overlayStateOf } from './network-parts.ts'
import { ensureServiceRoute } from './service-route.ts'
import {
  ETHERNET,
  externalConfiguration,
  type HostLinkFacts,
  type NetworkPlan,
  wantedIpv6Prefix,
} from './settings.ts'
import { findUplink } from './uplink.ts'

/** Milliseconds between two looks at everything, for what no event tells. */
const INTERVAL = 60_000

/** Milliseconds after which ports that could not be had are tried again. */
const PORT_INTERVAL = 10_000

export interface AspectContext {
  readonly parts: NetworkParts
  readonly plan: NetworkPlan
  /** What is found out is noted in it. */
  readonly state: NetworkState
  readonly bridgeName: string
  readonly driver: NetworkDriver
  /** Whether containers have IPv6 addresses by now. */
  readonly hasIpv6: boolean
  /** Told what is found out about the host. */
  readonly learn: (facts: Partial<HostLinkFacts>) => void
  /** Whether there is a network behind what runtimes are told. */
  readonly isBuilt: boolean
}

/**
 * Brings one aspect of the host to what is wanted.
 *
 * @returns milliseconds until the next look
 * @throws the errors of the parts that it is about
 */
export async function reconcileAspect(aspect: Aspect, context: AspectContext): Promise<number> {
  const { parts, plan, bridgeName } = context
  switch (aspect) {
    case 'ipv6':
      await reconcileIpv6(parts, plan, context.hasIpv6, dualStack => context.learn({ dualStack }))
      return INTERVAL
    case 'uplink':
      await reconcileUplink(context)
      return INTERVAL
    case 'overlay':
      await withOverlay(context, state => parts.overlay.verify(state))
      return INTERVAL
    case 'peers':
      await withOverlay(context, state => parts.overlay.apply(state))
      await parts.firewall.sync()
      await parts.firewall6.sync()
      parts.flowOffload.forgetFlows()
      return INTERVAL
    case 'links':
      await ensureBridge(parts, plan)
      await ensureMetadataAddress(parts.socket, plan.settings.metadata.address)
      await ensureServiceRoute(parts.socket, plan, bridgeName)
      await parts.keeper.reconcile(plan.bridge.mtu, plan.ipv6Prefix)
      await findDockerBridges(context)
      return INTERVAL
    case 'policy':
      await parts.policy.apply()
      parts.flowOffload.forgetFlows()
      return INTERVAL
    case 'firewall':
      await parts.policy.verifySets()
      await parts.firewall.verify()
      parts.flowOffload.forgetFlows()
      return INTERVAL
    case 'firewall6':
      if (wantedIpv6Prefix(plan.network) !== undefined) await parts.firewall6.verify()
      else await parts.dualStack.end(() => parts.firewall6.remove())
      return INTERVAL
    case 'guard':
      await parts.guard.verify(
        () => parts.store.list().flatMap(attachment => sourcesOf(attachment, plan.bridge.mac)),
        link => parts.attachments.isBusyWith(link),
      )
      return INTERVAL
    case 'flows':
      return (await parts.flowOffload.reconcile(plan.network, parts.store.list())) ?? INTERVAL
    case 'ports':
      return (await parts.ports.retake(parts.store.list())) > 0 ? PORT_INTERVAL : INTERVAL
    case 'driver':
      // What runtimes wait for must not appear before there is a network behind it.
      if (!context.isBuilt) return PORT_INTERVAL
      await context.driver.install(externalConfiguration(plan.network))
      return INTERVAL
  }
}

/** Comes first: what the overlay adds to packets decides how long those of containers may be. */
async function reconcileUplink({ parts, plan, state, learn }: AspectContext): Promise<void> {
  await chooseKind(parts, plan)
  const uplink = await findUplink(parts.socket, plan.settings.address)
  state.uplink = uplink
  // Settings may have come while the kernel was asked: they count.
  learn({ uplinkMtu: uplink?.mtu ?? ETHERNET.uplinkMtu, overhead: parts.overlay.overhead })
}

async function withOverlay(
  { state, bridgeName }: AspectContext,
  work: (state: OverlayState) => Promise<void>,
): Promise<void> {
  const wanted = overlayStateOf(state, bridgeName)
  if (wanted !== undefined) await work(wanted)
}

async function findDockerBridges({ parts, state }: AspectContext): Promise<void> {
  const links = (await listLinks(parts.socket)).filter(isDockerBridge)
  const found = links.map(link => link.name).toSorted()
  if (found.join() === state.dockerBridges.join()) return
  state.dockerBridges = found
  await parts.firewall.sync()
}
