/** Gratuitous ARP: tells the neighbours of a container under which MAC address its IPv4 address is from now on. */
import { parseIpv4 } from '../../kit/index.ts'
import { PacketSocket } from '../netlink/index.ts'

const ARP = 0x0806
const IPV4 = 0x0800
const ETHERNET = 1
const REQUEST = 1

const BROADCAST = Buffer.alloc(6, 0xff)

/** An ARP request for one's own address, to everybody (RFC 5227, section 3). */
export function announcementFrame(mac: string, address: string): Buffer {
  const own = Buffer.from(mac.replaceAll(':', ''), 'hex')
  const ip = Buffer.alloc(4)
  ip.writeUInt32BE(parseIpv4(address) ?? 0)
  const header = Buffer.alloc(10)
  for (const [index, value] of [ARP, ETHERNET, IPV4, (6 << 8) | 4, REQUEST].entries())
    header.writeUInt16BE(value, index * 2)
  return Buffer.concat([BROADCAST, own, header, own, ip, Buffer.alloc(6), ip])
}

/**
 * Sends it from a container's interface. Neighbours that do not hear it find out by themselves, a few seconds later.
 *
 * @param link index of the interface, in its namespace
 */
export function announce(namespace: string, link: number, mac: string, address: string): void {
  const socket = PacketSocket.open(link, ARP, namespace)
  try {
    socket.send(announcementFrame(mac, address))
  } finally {
    socket.close()
  }
}
