/** The routed network as a cluster chose it. */
import type { Logger } from '../../kit/index.ts'
import type { RoutedOptions } from '../../protocol/index.ts'
import type { RouteSocket } from '../netlink/index.ts'
import { AwsRouteTables } from './aws/index.ts'
import { HostGateway } from './host-gateway.ts'
import { RoutedOverlay } from './routed-overlay.ts'
import { UpstreamRouters } from './router-routes.ts'

export interface RoutedNetworkOptions {
  /** Absent where nothing is known any more than that the network was routed: all that is left to do is to remove it. */
  readonly routed: RoutedOptions | undefined
  /** Where is kept what was entered in the cloud. */
  readonly directory: string
  /** Of the process's own network namespace; stays the caller's. */
  readonly socket: RouteSocket
  readonly log: Logger
}

export function createRoutedOverlay({ routed, directory, socket, log }: RoutedNetworkOptions): RoutedOverlay {
  const providers = {
    hostgw: new HostGateway(socket),
    aws: new AwsRouteTables({ aws: routed?.aws, directory, log }),
    none: new UpstreamRouters(),
  }
  const provider = providers[routed?.provider ?? 'none']
  const others = Object.values(providers).filter(other => other !== provider)
  return new RoutedOverlay({ provider, others, log })
}
