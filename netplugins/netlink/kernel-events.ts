/** What changes in a host's network, as the kernel tells it (rtnetlink multicast groups). */
import { createNetlink, type NetlinkMessage, Protocol, rt } from 'netlink'
import { decodeLink, type Link } from './links.ts'

export type KernelEvent =
  | { readonly kind: 'link'; readonly link: Link; readonly removed: boolean }
  /** An IPv4 address came or went on the link with this index. */
  | { readonly kind: 'address'; readonly link: number }
  /** Events were lost: look at everything. */
  | { readonly kind: 'lost' }

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
      const { index } = rt.parseAddressMessage(body).data
      return index === undefined ? undefined : { kind: 'address', link: index }
    }
    default:
      return undefined
  }
}

/**
 * Calls `listener` for every change of links and IPv4 addresses of this process's network namespace.
 *
 * @returns ends the subscription
 */
export function watchKernel(listener: (event: KernelEvent) => void): () => void {
  const socket = createNetlink(Protocol.ROUTE)
  socket.on('message', messages => {
    for (const message of messages) {
      const event = decodeEvent(message)
      if (event !== undefined) listener(event)
    }
  })
  // ENOBUFS: the kernel had more to tell than the socket's buffer holds.
  socket.on('error', () => listener({ kind: 'lost' }))
  socket.on('invalid', () => listener({ kind: 'lost' }))
  socket.addMembership(rt.MulticastGroups.LINK)
  socket.addMembership(rt.MulticastGroups.IPV4_IFADDR)
  return () => socket.close()
}
