/** Changes over from one kind of network to another: what was there goes before anything takes its place. */
import { isOfPlan } from './container-links.ts'
import type { NetworkParts } from './network-parts.ts'
import type { NetworkPlan } from './settings.ts'

/** Removes what the plan does not want. Of what it wants, nothing is on the host yet. @throws what cannot be removed */
export async function chooseKind({ overlay, flat }: NetworkParts, plan: NetworkPlan): Promise<void> {
  if (plan.network.kind !== 'flat') await flat.choose(plan)
  await overlay.choose(plan.network)
  if (plan.network.kind === 'flat') await flat.choose(plan)
}

/**
 * Makes what containers are connected to: this host's own bridge, or one in the place of its interface. Containers on
 * the other one are taken off it; whoever runs them connects them anew.
 *
 * @throws those of `BridgeNetwork.ensure` and `FlatNetwork.ensure`
 */
export async function ensureBridge(parts: NetworkParts, plan: NetworkPlan): Promise<void> {
  // The choice may be newer than the last look at the uplink.
  if (!parts.flat.isChosen(plan)) await chooseKind(parts, plan)
  await parts.attachments.deleteWhere(attachment => !isOfPlan(attachment, plan))
  if (plan.network.kind === 'flat') {
    await parts.bridge.remove()
    await parts.flat.ensure()
  } else {
    await parts.bridge.ensure(plan.bridge)
  }
}
