/** IPv4 unicast routes of the main table (RTM_*ROUTE). */
import { FlagsNew, rt } from 'netlink'
import { kernelErrorCode, type RouteSocket } from './route-socket.ts'
import { AF_INET, decodeIpv4, encodeIpv4, encodeIpv4Block } from './wire.ts'

export interface Route {
  /** CIDR notation; `0.0.0.0/0` is the default route. */
  readonly destination: string
  /** Absent when the destination is on the link itself. */
  readonly gateway: string | undefined
  /** Index of the outgoing link. */
  readonly link: number
}

export async function listRoutes(socket: RouteSocket): Promise<Route[]> {
  const messages = await socket.request('routes', 'list', (kernel, options) =>
    kernel.getRoutes({ family: AF_INET }, undefined, options),
  )
  return messages.flatMap(({ data, attrs }) => {
    const table = attrs.table ?? data.table
    if (table !== rt.RoutingTableClass.MAIN || attrs.oif === undefined) return []
    const base = attrs.dst === undefined ? '0.0.0.0' : decodeIpv4(attrs.dst)
    if (base === undefined) return []
    return [
      {
        destination: `${base}/${data.dstLen ?? 0}`,
        gateway: decodeIpv4(attrs.gateway),
        link: attrs.oif,
      },
    ]
  })
}

function encodeRoute(route: Route): { data: rt.Route; attrs: rt.RouteAttrs } {
  const { prefix, prefixLength } = encodeIpv4Block(route.destination)
  return {
    data: {
      family: AF_INET,
      dstLen: prefixLength,
      table: rt.RoutingTableClass.MAIN,
      protocol: 'BOOT',
      scope: route.gateway === undefined ? 'LINK' : 'UNIVERSE',
      type: 'UNICAST',
    },
    attrs: {
      oif: route.link,
      ...(prefixLength === 0 ? {} : { dst: prefix }),
      ...(route.gateway === undefined ? {} : { gateway: encodeIpv4(route.gateway) }),
    },
  }
}

/** Adds a route, or takes the place of the one to the same destination. @throws `KernelRefused` */
export async function replaceRoute(socket: RouteSocket, route: Route): Promise<void> {
  const { data, attrs } = encodeRoute(route)
  await socket.request(`route to ${route.destination}`, 'add', (kernel, options) =>
    kernel.newRoute(data, attrs, { ...options, flags: FlagsNew.CREATE | FlagsNew.REPLACE }),
  )
}

/** @returns false when there was no such route */
export async function deleteRoute(socket: RouteSocket, route: Route): Promise<boolean> {
  const { data, attrs } = encodeRoute(route)
  try {
    await socket.request(`route to ${route.destination}`, 'delete', (kernel, options) =>
      kernel.delRoute(data, attrs, options),
    )
    return true
  } catch (error) {
    if (kernelErrorCode(error) === 'ESRCH') return false
    throw error
  }
}
