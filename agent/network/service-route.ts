/**
 * The way to the addresses of services, for this host's own processes: packets are led to endpoints only once they are on
 * their way, and a host without a default route would have none for them. Those that nobody leads end at the bridge, and
 * never leave the host.
 */
import { getLink, listRoutes, type RouteSocket, replaceRoute } from '../../netplugins/netlink/index.ts'
import { SERVICE_BLOCK } from '../../protocol/index.ts'
import type { NetworkPlan } from './settings.ts'

/** It goes with the bridge. @throws `KernelRefused` */
export async function ensureServiceRoute(
  socket: RouteSocket,
  { network }: NetworkPlan,
  bridgeName: string,
): Promise<void> {
  if (network.kind === 'flat') return
  const bridge = await getLink(socket, bridgeName)
  const present = (await listRoutes(socket)).some(({ destination }) => destination === SERVICE_BLOCK)
  // A route of somebody else's is left alone, and so is ours: every change is news to those who watch.
  if (bridge === undefined || present) return
  await replaceRoute(socket, { destination: SERVICE_BLOCK, gateway: undefined, link: bridge.index })
}
