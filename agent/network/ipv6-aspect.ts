/** Finds out whether a host can give its containers IPv6 addresses, and prepares it. */
import { isDroverError } from '../../kit/index.ts'
import { requireIpv6 } from './dual-stack.ts'
import type { NetworkParts } from './network-parts.ts'
import { type NetworkPlan, wantedIpv6Prefix } from './settings.ts'

/**
 * Links, overlay, rules and the rest follow from the plan that `learn` leads to.
 *
 * @param hasIpv6 whether containers have IPv6 addresses by now
 * @param learn told whether they can have some
 * @throws `Ipv6Unavailable`, `KernelRefused`, `RulesRefused`, `CommandMissing`, …
 */
export async function reconcileIpv6(
  { dualStack, firewall6, socket }: NetworkParts,
  { network, bridge }: NetworkPlan,
  hasIpv6: boolean,
  learn: (canHave: boolean) => void,
): Promise<void> {
  if (wantedIpv6Prefix(network) === undefined) {
    if (hasIpv6) learn(false)
    return
  }
  try {
    await requireIpv6(bridge.mtu)
    await dualStack.begin()
    learn(true)
    // The door is closed before anybody can come in; and where there is no door, there is no way in.
    if (!hasIpv6) await firewall6.verify()
    await dualStack.forward(socket)
  } catch (error) {
    // What works already, goes on.
    if (!hasIpv6 || isDroverError(error, 'Ipv6Unavailable')) learn(false)
    throw error
  }
}
