/**
 * The route that makes packets to the cluster's containers end here when every better one is gone: without it they would
 * take the default route, unencrypted.
 */
import { FlagsNew, rt } from 'netlink'
import { formatIpv4Block, requireIpv4Block } from '../../kit/index.ts'
import { type KernelObject, OUR_PROTOCOL, type RouteSocket } from '../netlink/index.ts'

/** Of several routes to the same block the one with the lowest metric counts: this one comes last. */
const LAST = 0x7fffffff

const AF_INET = 2

/** The package knows the names of some makers of routes, and takes any number. */
const PROTOCOL: number = OUR_PROTOCOL

function bytesOf(address: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(address)
  return bytes
}

/** The route as an object to be reconciled. @throws `InvalidFormat` */
export function closedRouteObject(destination: string): KernelObject {
  const block = requireIpv4Block(destination, 'closed route')
  const data: rt.Route = {
    family: AF_INET,
    dstLen: block.prefixLength,
    table: rt.RoutingTableClass.MAIN,
    protocol: PROTOCOL,
    scope: 'UNIVERSE',
    type: 'UNREACHABLE',
  }
  const attrs: rt.RouteAttrs = {
    table: rt.RoutingTableClass.MAIN,
    dst: bytesOf(block.base),
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
export async function listClosedRoutes(socket: RouteSocket): Promise<KernelObject[]> {
  const messages = await socket.request('routes', 'list', (kernel, options) =>
    kernel.getRoutes({ family: AF_INET }, undefined, options),
  )
  return messages.flatMap(({ data, attrs }) => {
    const isOurs =
      (data.type === 'UNREACHABLE' || data.type === rt.RouteType.UNREACHABLE) &&
      data.protocol === PROTOCOL &&
      attrs.priority === LAST
    if (!isOurs || attrs.dst?.length !== 4) return []
    const base = Buffer.from(attrs.dst).readUInt32BE()
    return [closedRouteObject(formatIpv4Block({ base, prefixLength: data.dstLen ?? 32 }))]
  })
}
