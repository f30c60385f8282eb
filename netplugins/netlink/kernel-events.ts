/** What changes in a host's network, as the kernel tells it (rtnetlink multicast groups). */
import { type NetlinkMessage, rt } from 'netlink'
import { openEventSocket } from './event-socket.ts'
import { decodeLink, type Link } from './links.ts'
import { closeLater } from './route-socket.ts'
import { decodeRoute, OUR_PROTOCOL, type Route } from './routes.ts'
import { AF_INET6, decodeAddress, type IpFamily } from './wire.ts'

export type KernelEvent =
  | { readonly kind: 'link'; readonly link: Link; readonly removed: boolean }
  /** An address came or went on the link with this index. */
  | { readonly kind: 'address'; readonly link: number; readonly family: IpFamily; readonly address: string }
  /** A route made by us (`OUR_PROTOCOL`) was deleted, by whomever. */
  | { readonly kind: 'route'; readonly route: Route }
  /** Something was told that could not be understood: look at everything. */
  | { readonly kind: 'lost' }

const { LINK, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE } = rt.MulticastGroups

const GROUPS: Readonly<Record<IpFamily, readonly number[]>> = {
  4: [LINK, IPV4_IFADDR, IPV4_ROUTE],
  6: [IPV6_IFADDR, IPV6_ROUTE],
}

function decodeEvent({ type, data }: NetlinkMessage): KernelEvent | undefined {
  const body = Buffer.concat(Array.isArray(data) ? data : [data])
  switch (type) {
    case rt.MessageType.NEWLINK:
    case rt.MessageType.DELLINK: {
      const link = decodeLink(rt.parseLinkMessage(body))
      return link && { kind: 'link', link, removed: type === rt.MessageType.DELLINK }
    }
    case rt.MessageType.NEWADDR:
    case rt.MessageType.DELADDR: {
      const { data, attrs } = rt.parseAddressMessage(body)
      const address = decodeAddress(attrs.local ?? attrs.address)
      if (data.index === undefined || address === undefined) return undefined
      return { kind: 'address', link: data.index, family: data.family === AF_INET6 ? 6 : 4, address }
    }
    case rt.MessageType.DELROUTE: {
      const route = decodeRoute(body)
      return route?.protocol === OUR_PROTOCOL ? { kind: 'route', route } : undefined
    }
    default:
      return undefined
  }
}

function attempt(message: NetlinkMessage): KernelEvent | undefined {
  try {
    return decodeEvent(message)
  } catch {
    // Something newer than the package: thrown further, it would end the process.
    return { kind: 'lost' }
  }
}

/**
 * Calls `listener` for every change of links and addresses, and every deletion of a route of ours, in this process's network
 * namespace.
 *
 * Not every event arrives when there are very many: whoever listens looks at everything now and then as well.
 *
 * @param family of addresses and routes; changes of links are told with IPv4 alone
 * @returns ends the subscription
 */
export function watchKernel(listener: (event: KernelEvent) => void, family: IpFamily = 4): () => void {
  const socket = openEventSocket()
  socket.on('message', messages => {
    for (const message of messages) {
      const event = attempt(message)
      if (event !== undefined) listener(event)
    }
  })
  socket.on('error', () => listener({ kind: 'lost' }))
  socket.on('invalid', () => listener({ kind: 'lost' }))
  for (const group of GROUPS[family]) socket.addMembership(group)
  return () => closeLater(socket)
}
