/** Unicast routes of IPv4 and IPv6 (RTM_*ROUTE), of the main table unless another one is named. */
import { FlagsGet, FlagsNew, parseAttributes, rt } from 'netlink'
import type { KernelObject } from './kernel-objects.ts'
import { type KernelRequest, kernelErrorCode, type RouteSocket } from './route-socket.ts'
import {
  AF_INET,
  AF_INET6,
  decodeAddress,
  encodeAddress,
  encodeBlock,
  familyNumber,
  familyOf,
  type IpFamily,
} from './wire.ts'

/**
 * Who made a route: the number by which ours are told from everybody else's. Free in iproute2's list (rt_protos), and
 * above those that mean something to the kernel.
 */
export const OUR_PROTOCOL = 142

/** The number of "made by hand". */
const PROTOCOL_BOOT = 3

/** Next-hop flag of rtnetlink(7), in the low bits of the route's flags. */
const RTNH_F_ONLINK = 4

export interface Route {
  /** CIDR notation; `0.0.0.0/0` and `::/0` are the default routes. */
  readonly destination: string
  /** Absent when the destination is on the link itself. */
  readonly gateway: string | undefined
  /** Index of the outgoing link. */
  readonly link: number
  /** The address that packets of this host itself come from. */
  readonly source?: string | undefined
  /** Takes the gateway for a neighbour on the link although no address of the link says so. */
  readonly onLink?: boolean
  /** Who made it; 3 ("boot", made by hand) when absent. */
  readonly protocol?: number
  /** Number of the routing table; the main table when absent. */
  readonly table?: number
  /** Of several routes to one destination the one with the lowest counts; the family's usual one when absent. */
  readonly metric?: number
}

export interface RouteFilter {
  /** Only routes made by this one. */
  readonly protocol?: number
  /** The main table when absent. */
  readonly table?: number
  /** IPv4 when absent. */
  readonly family?: IpFamily
}

/** What the kernel takes where none is said (IP6_RT_PRIO_USER of linux/ipv6_route.h). */
const USUAL_METRIC: Readonly<Record<IpFamily, number>> = { 4: 0, 6: 1024 }

/** Bytes of struct rtmsg, and where in it what is. */
const HEADER_SIZE = 12
const HEADER = { prefixLength: 1, table: 4, protocol: 5, type: 7, flags: 8 } as const

const TYPE_UNICAST = 1

/** Attributes of rtnetlink(7). */
const ATTRIBUTE = { destination: 1, link: 4, gateway: 5, metric: 6, source: 7, table: 15 } as const

/**
 * Reads the body of an RTM_NEWROUTE or RTM_DELROUTE message. Only what is needed: the package's own reader stumbles over
 * routes that others make, e.g. of IPv4 through IPv6.
 *
 * @returns undefined for what is no unicast route by one link
 */
export function decodeRoute(body: Buffer): Route | undefined {
  if (body.length < HEADER_SIZE || body[HEADER.type] !== TYPE_UNICAST) return undefined
  if (body[0] !== AF_INET && body[0] !== AF_INET6) return undefined
  const attributes = new Map<number, Buffer>()
  parseAttributes(body.subarray(HEADER_SIZE), ({ type, data }) => attributes.set(type, data))
  const number = (type: number) => attributes.get(type)?.readUInt32LE()
  const link = number(ATTRIBUTE.link)
  if (link === undefined) return undefined
  const base =
    decodeAddress(attributes.get(ATTRIBUTE.destination)) ?? (body[0] === AF_INET ? '0.0.0.0' : '::')
  return {
    destination: `${base}/${body[HEADER.prefixLength]}`,
    gateway: decodeAddress(attributes.get(ATTRIBUTE.gateway)),
    link,
    source: decodeAddress(attributes.get(ATTRIBUTE.source)),
    onLink: (body.readUInt32LE(HEADER.flags) & RTNH_F_ONLINK) !== 0,
    protocol: body[HEADER.protocol] ?? 0,
    table: number(ATTRIBUTE.table) ?? body[HEADER.table] ?? 0,
    metric: number(ATTRIBUTE.metric) ?? 0,
  }
}

/** The routes of one table, of everybody or of one maker. */
export async function listRoutes(socket: RouteSocket, filter: RouteFilter = {}): Promise<Route[]> {
  const { table = rt.RoutingTableClass.MAIN, protocol, family = 4 } = filter
  // struct rtmsg of a listing of everything of the family.
  const listing = Buffer.alloc(HEADER_SIZE)
  listing[0] = familyNumber(family)
  const [messages] = await socket.request('routes', 'list', (kernel, options) =>
    kernel.socket.request(rt.MessageType.GETROUTE, listing, { ...options, flags: FlagsGet.DUMP }),
  )
  return messages
    .map(({ data }) => decodeRoute(Buffer.concat(Array.isArray(data) ? data : [data])))
    .filter(route => route !== undefined)
    .filter(route => route.table === table && (protocol === undefined || route.protocol === protocol))
}

function encodeRoute(route: Route): { data: rt.Route; attrs: rt.RouteAttrs } {
  const { prefix, prefixLength } = encodeBlock(route.destination)
  const { table = rt.RoutingTableClass.MAIN, protocol = PROTOCOL_BOOT, metric = 0 } = route
  const family = familyOf(route.destination)
  return {
    data: {
      family: familyNumber(family),
      dstLen: prefixLength,
      // Numbers above 255 fit into the attribute only.
      table: table > 255 ? rt.RoutingTableClass.COMPAT : table,
      protocol,
      // IPv6 knows no scopes of routes.
      scope: route.gateway === undefined && family === 4 ? 'LINK' : 'UNIVERSE',
      type: 'UNICAST',
      ...(route.onLink === true ? { flags: { __unknown: RTNH_F_ONLINK } } : {}),
    },
    attrs: {
      oif: route.link,
      table,
      ...(prefixLength === 0 ? {} : { dst: prefix }),
      ...(route.gateway === undefined ? {} : { gateway: encodeAddress(route.gateway) }),
      ...(route.source === undefined ? {} : { prefsrc: encodeAddress(route.source) }),
      ...(metric === 0 ? {} : { priority: metric }),
    },
  }
}

function newRoute(route: Route, action: string, flags: number): KernelRequest {
  const { data, attrs } = encodeRoute(route)
  return {
    object: `route to ${route.destination}`,
    action,
    call: (kernel, options) => kernel.newRoute(data, attrs, { ...options, flags }),
  }
}

function removeRoute(route: Route): KernelRequest {
  const { data, attrs } = encodeRoute(route)
  return {
    object: `route to ${route.destination}`,
    action: 'delete',
    call: (kernel, options) => kernel.delRoute(data, attrs, options),
    // A link that goes down or away takes its routes with it.
    satisfiedBy: ['ESRCH', 'ENODEV', 'ENETDOWN'],
  }
}

/**
 * A route as an object to be reconciled. It is only added where nobody else has one to the same destination.
 *
 * @throws `InvalidFormat`
 */
export function routeObject(route: Route): KernelObject {
  const { destination, gateway, link, source, onLink = false, protocol = PROTOCOL_BOOT } = route
  const { metric = USUAL_METRIC[familyOf(destination)] } = route
  return {
    key: `route ${route.table ?? rt.RoutingTableClass.MAIN} ${destination} ${metric}`,
    value: [gateway, link, source, onLink, protocol].join(' '),
    add: () => newRoute(route, 'add', FlagsNew.CREATE | FlagsNew.EXCL),
    replace: () => newRoute(route, 'change', FlagsNew.CREATE | FlagsNew.REPLACE),
    remove: () => removeRoute(route),
  }
}

/** Adds a route, or takes the place of the one to the same destination. @throws `KernelRefused` */
export async function replaceRoute(socket: RouteSocket, route: Route): Promise<void> {
  const { object, action, call } = newRoute(route, 'add', FlagsNew.CREATE | FlagsNew.REPLACE)
  await socket.request(object, action, call)
}

/** @returns false when there was no such route */
export async function deleteRoute(socket: RouteSocket, route: Route): Promise<boolean> {
  const { object, action, call } = removeRoute(route)
  try {
    await socket.request(object, action, call)
    return true
  } catch (error) {
    if (kernelErrorCode(error) === 'ESRCH') return false
    throw error
  }
}
