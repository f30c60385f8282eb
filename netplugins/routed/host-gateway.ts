/** Provider `hostgw`: every host has routes to the subnets of all others, which must be on the same network. */
import { explainError, type Ipv4Block, ipv4BlockContains, parseIpv4 } from '../../kit/index.ts'
import {
  type KernelEvent,
  type KernelObject,
  type LinkAddress,
  listAddresses,
  listRoutes,
  OUR_PROTOCOL,
  type RouteSocket,
  routeObject,
  TableKeeper,
  tableOf,
} from '../netlink/index.ts'
import type { ProviderOutcome, RoutePlan, RouteProvider, SubnetRoute } from './route-provider.ts'

/** The link on whose network an address is. */
export function onLinkWith(addresses: readonly LinkAddress[], neighbour: string): LinkAddress | undefined {
  const value = parseIpv4(neighbour)
  if (value === undefined) return undefined
  return addresses
    .filter(({ address, prefixLength }) => {
      const own = parseIpv4(address)
      return own !== undefined && own !== value && ipv4BlockContains(blockAround(own, prefixLength), value)
    })
    .toSorted((a, b) => b.prefixLength - a.prefixLength)[0]
}

function blockAround(address: number, prefixLength: number): Ipv4Block {
  const size = 2 ** (32 - prefixLength)
  return { base: address - (address % size), prefixLength }
}

export class HostGateway implements RouteProvider {
  readonly #socket: RouteSocket
  readonly #table: TableKeeper
  /** Links that next hops are on. */
  #links: ReadonlySet<number> = new Set()
  #unreachable = false

  constructor(socket: RouteSocket) {
    this.#socket = socket
    this.#table = new TableKeeper(socket)
  }

  async bring(plan: RoutePlan, completely: boolean): Promise<ProviderOutcome> {
    const addresses = await listAddresses(this.#socket)
    const problems = new Map<string, string>()
    const owners = new Map<string, string>()
    const objects: KernelObject[] = []
    const links = new Set<number>()
    for (const route of plan.routes) {
      const near = onLinkWith(addresses, route.nextHop)
      if (near === undefined) {
        problems.set(
          route.hostId,
          `its address ${route.nextHop} is not on a network of this host; provider hostgw needs that, others do not`,
        )
        continue
      }
      links.add(near.link)
      for (const object of objectsOf(route, near, addresses, plan.address)) {
        owners.set(object.key, route.hostId)
        objects.push(object)
      }
    }
    this.#links = links
    this.#unreachable = problems.size > 0
    const actual = completely || !this.#table.isKnown ? await this.#actual() : undefined
    const { changes, failures } = await this.#table.change(tableOf(objects), actual)
    for (const [key, error] of failures) {
      const owner = owners.get(key)
      if (owner !== undefined && !problems.has(owner)) problems.set(owner, explainError(error))
    }
    return { changes, problems }
  }

  concerns(event: KernelEvent): boolean {
    switch (event.kind) {
      case 'lost':
        return true
      case 'route':
        return this.#table.holds(routeObject(event.route))
      case 'address':
        return this.#unreachable || this.#links.has(event.link)
      case 'link':
        // A link that goes down takes its routes with it, and does not bring them back.
        return this.#links.has(event.link.index)
    }
  }

  async close(): Promise<void> {}

  async remove(): Promise<void> {
    this.#table.forget()
    const { failures } = await this.#table.change(new Map(), await this.#actual())
    const [first] = failures.values()
    if (first !== undefined) throw first
  }

  async #actual(): Promise<Map<string, KernelObject>> {
    const routes = await listRoutes(this.#socket, { protocol: OUR_PROTOCOL })
    return tableOf(routes.map(routeObject))
  }
}

/** @param own this host's address: the source of its packets where the link has it */
function objectsOf(
  route: SubnetRoute,
  near: LinkAddress,
  addresses: readonly LinkAddress[],
  own: string,
): KernelObject[] {
  const isOnLink = addresses.some(({ link, address }) => link === near.link && address === own)
  return route.destinations.map(destination =>
    routeObject({
      destination,
      gateway: route.nextHop,
      link: near.link,
      source: isOnLink ? own : near.address,
      protocol: OUR_PROTOCOL,
    }),
  )
}
