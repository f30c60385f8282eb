/** Forwarding entries of a VXLAN link: to which host frames for a MAC address are sent (bridge(8) fdb). */
import { FlagsGet, FlagsNew, rt } from 'netlink'
import type { KernelObject } from './kernel-objects.ts'
import type { KernelRequest, RouteSocket } from './route-socket.ts'
import { AF_BRIDGE, decodeIpv4, decodeMac, encodeIpv4, encodeMac } from './wire.ts'

export interface ForwardingEntry {
  /** Index of the VXLAN link. */
  readonly link: number
  readonly mac: string
  /** Address of the host. */
  readonly host: string
}

/** Bytes of struct ifinfomsg, and where in it the index of a link is. */
const LINK_HEADER_SIZE = 16
const LINK_HEADER_INDEX = 4

/** The permanent entries of one link that lead to a host. */
export async function listForwarding(socket: RouteSocket, link: number): Promise<ForwardingEntry[]> {
  const filter = Buffer.alloc(LINK_HEADER_SIZE)
  filter[0] = AF_BRIDGE
  // With a link header instead of a neighbour's, the kernel lists the entries of that link only (rtnetlink.c).
  filter.writeInt32LE(link, LINK_HEADER_INDEX)
  const messages = await socket.request('forwarding entries', 'list', (kernel, options) =>
    kernel.request(rt.MessageType.GETNEIGH, filter, { ...options, flags: FlagsGet.DUMP }),
  )
  return messages.flatMap(message => {
    if (message.kind !== 'neighbor' || message.data.ifindex !== link) return []
    const mac = decodeMac(message.attrs.lladdr)
    const host = decodeIpv4(message.attrs.dst)
    return mac === undefined || host === undefined ? [] : [{ link, mac, host }]
  })
}

function header(link: number): rt.Neighbor {
  return { family: AF_BRIDGE, ifindex: link, state: { permanent: true }, flags: { self: true } }
}

function newEntry(entry: ForwardingEntry): KernelRequest {
  const attributes = { lladdr: encodeMac(entry.mac), dst: encodeIpv4(entry.host) }
  return {
    object: `forwarding entry ${entry.mac} to ${entry.host}`,
    action: 'add',
    call: (kernel, options) =>
      kernel.newNeighbor(header(entry.link), attributes, {
        ...options,
        flags: FlagsNew.CREATE | FlagsNew.REPLACE,
      }),
  }
}

/** A forwarding entry as an object to be reconciled. @throws `InvalidFormat` */
export function forwardingObject(entry: ForwardingEntry): KernelObject {
  return {
    key: `forwarding ${entry.link} ${entry.mac}`,
    value: entry.host,
    add: () => newEntry(entry),
    replace: () => newEntry(entry),
    remove: () => ({
      object: `forwarding entry ${entry.mac} to ${entry.host}`,
      action: 'delete',
      call: (kernel, options) =>
        kernel.delNeighbor(
          header(entry.link),
          { lladdr: encodeMac(entry.mac), dst: encodeIpv4(entry.host) },
          options,
        ),
      satisfiedBy: ['ENOENT', 'ENODEV'],
    }),
  }
}
