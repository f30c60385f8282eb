/** Provider `none`: somebody else tells the routers. Says what to tell them. */
import type { KernelEvent } from '../netlink/index.ts'
import type { Peer } from '../overlay/index.ts'
import { routedPeer } from './per-host-subnet.ts'
import type { ProviderOutcome, RoutePlan, RouteProvider } from './route-provider.ts'

/** One route that an upstream router needs. */
export interface RouterRoute {
  readonly subnet: string
  readonly nextHop: string
  /** Name of the host. */
  readonly host: string
}

/** The routes to the containers of all hosts, in the order of the hosts. Hosts with labels that say nothing have none. */
export function routerRoutes(hosts: readonly Peer[]): RouterRoute[] {
  return hosts.flatMap(host => {
    const { peer, nextHop, problem } = routedPeer(host)
    return problem === undefined ? peer.blocks.map(subnet => ({ subnet, nextHop, host: host.name })) : []
  })
}

export class UpstreamRouters implements RouteProvider {
  async bring(_plan: RoutePlan): Promise<ProviderOutcome> {
    return { changes: 0, problems: new Map() }
  }

  concerns(_event: KernelEvent): boolean {
    return false
  }

  async close(): Promise<void> {}

  async remove(): Promise<void> {}
}
