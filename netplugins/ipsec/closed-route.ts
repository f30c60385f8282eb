/**
 * The routes that make packets to the cluster's containers end here when every better one is gone: without them they would
 * take the default route, unencrypted.
 */
import { FlagsNew, rt } from 'netlink'
import {
  decodeAddress,
  encodeBlock,
  familyNumber,
  familyOf,
  type IpFamily,
  type KernelObject,
  OUR_PROTOCOL,
  type RouteSocket,
} from '../netlink/index.ts'

/** Of several routes to the same block the one with the lowest metric counts: this one comes last. */
const LAST = 0x7fffffff

/** The package knows the names of some makers of routes, and takes any number. */
const PROTOCOL: number = OUR_PROTOCOL

/** The route as an object to be reconciled. @param destination of either family. @throws `InvalidFormat` */
export function closedRouteObject(destination: string): KernelObject {
  const { prefix, prefixLength } = encodeBlock(destination)
  const data: rt.Route = {
    family: familyNumber(familyOf(destination)),
    dstLen: prefixLength,
    table: rt.RoutingTableClass.MAIN,
    protocol: PROTOCOL,
    scope: 'UNIVERSE',
    type: 'UNREACHABLE',
  }
  const attrs: rt.RouteAttrs = {
    table: rt.RoutingTableClass.MAIN,
    dst: prefix,
    priority: LAST,
  }
  const object = `unreachable route to ${destination}`
  const add = (flags: number, action: string) => () => ({
    object,
    action,
    call: (kernel: Parameters<Parameters<RouteSocket['request']>[2]>[0], options: object) =>
      kernel.newRoute(data, attrs, { ...options, flags }),
  })
  return {
    key: `unreachable ${destination}`,
    value: '',
    add: add(FlagsNew.CREATE | FlagsNew.EXCL, 'add'),
    replace: add(FlagsNew.CREATE | FlagsNew.REPLACE, 'change'),
    remove: () => ({
      object,
      action: 'delete',
      call: (kernel, options) => kernel.delRoute(data, attrs, options),
      satisfiedBy: ['ESRCH'],
    }),
  }
}

/** Those that we made. */
export async function listClosedRoutes(socket: RouteSocket, family: IpFamily = 4): Promise<KernelObject[]> {
  const messages = await socket.request('routes', 'list', (kernel, options) =>
    kernel.getRoutes({ family: familyNumber(family) }, undefined, options),
  )
  return messages.flatMap(({ data, attrs }) => {
    const isOurs =
      (data.type === 'UNREACHABLE' || data.type === rt.RouteType.UNREACHABLE) &&
      data.protocol === PROTOCOL &&
      attrs.priority === LAST
    const address = isOurs ? decodeAddress(attrs.dst) : undefined
    if (address === undefined || familyOf(address) !== family) return []
    return [closedRouteObject(`${address}/${data.dstLen}`)]
  })
}
