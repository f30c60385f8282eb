/** Questions and announcements by ARP (RFC 826, RFC 5227), on a link of this host. */
import { formatIpv4, parseIpv4, sleep, systemClock } from '../../kit/index.ts'
import { type Link, PacketSocket } from '../netlink/index.ts'

const ETHERTYPE_ARP = 0x0806
const BROADCAST = 'ff:ff:ff:ff:ff:ff'
const NOBODY = '00:00:00:00:00:00'

const REQUEST = 1
const REPLY = 2

/** Milliseconds between two looks at what arrived. */
const POLL_INTERVAL = 5

export interface ArpPacket {
  readonly operation: number
  readonly senderMac: string
  readonly senderAddress: string
  readonly targetMac: string
  readonly targetAddress: string
}

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex')
}

function macText(bytes: Uint8Array): string {
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join(':')
}

function addressBytes(address: string): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(parseIpv4(address) ?? 0)
  return bytes
}

/** The frame of an ARP packet to everybody. */
export function encodeArp(packet: ArpPacket): Buffer {
  const header = Buffer.from([0, 1, 8, 0, 6, 4, 0, packet.operation])
  return Buffer.concat([
    macBytes(BROADCAST),
    macBytes(packet.senderMac),
    Buffer.from([ETHERTYPE_ARP >> 8, ETHERTYPE_ARP & 255]),
    header,
    macBytes(packet.senderMac),
    addressBytes(packet.senderAddress),
    macBytes(packet.targetMac),
    addressBytes(packet.targetAddress),
  ])
}

/** @returns undefined for what is no ARP packet about IPv4 on Ethernet */
export function decodeArp(frame: Buffer): ArpPacket | undefined {
  if (frame.length < 42 || frame.readUInt16BE(12) !== ETHERTYPE_ARP) return undefined
  if (frame.readUInt32BE(14) !== 0x00010800 || frame.readUInt16BE(18) !== 0x0604) return undefined
  return {
    operation: frame.readUInt16BE(20),
    senderMac: macText(frame.subarray(22, 28)),
    senderAddress: formatIpv4(frame.readUInt32BE(28)),
    targetMac: macText(frame.subarray(32, 38)),
    targetAddress: formatIpv4(frame.readUInt32BE(38)),
  }
}

/** A link with an own address, as far as ARP is concerned. */
export type ArpLink = Pick<Link, 'index' | 'mac'>

interface Question {
  readonly link: ArpLink
  readonly packet: Omit<ArpPacket, 'senderMac'>
  /** Milliseconds between two times it is asked, and after the last one. */
  readonly interval: number
  readonly times: number
  readonly isAnswer: (packet: ArpPacket) => boolean
}

/** @returns the first answer, or undefined when none came in time. @throws `KernelRefused` */
async function ask({ link, packet, interval, times, isAnswer }: Question): Promise<ArpPacket | undefined> {
  const senderMac = link.mac ?? NOBODY
  const socket = PacketSocket.open(link.index, ETHERTYPE_ARP)
  try {
    for (let time = 0; time < times; time += 1) {
      socket.send(encodeArp({ ...packet, senderMac }))
      const end = systemClock.monotonic() + interval
      do {
        for (let frame = socket.receive(); frame !== undefined; frame = socket.receive()) {
          const found = decodeArp(frame)
          if (found !== undefined && isAnswer(found)) return found
        }
        await sleep(POLL_INTERVAL)
      } while (systemClock.monotonic() < end)
    }
    return undefined
  } finally {
    socket.close()
  }
}

/**
 * Asks whether a neighbour answers.
 *
 * @param own this host's address on the link
 * @param deadline milliseconds
 * @throws `KernelRefused`
 */
export async function answersArp(
  link: ArpLink,
  own: string,
  neighbour: string,
  deadline: number,
): Promise<boolean> {
  const interval = 100
  const answer = await ask({
    link,
    packet: { operation: REQUEST, senderAddress: own, targetMac: NOBODY, targetAddress: neighbour },
    interval,
    times: Math.ceil(deadline / interval),
    isAnswer: ({ operation, senderAddress }) => operation === REPLY && senderAddress === neighbour,
  })
  return answer !== undefined
}

/**
 * Asks whether somebody has an address already (RFC 5227 2.1.1), before a container gets it. Three probes within 150 ms
 * instead of the standard's seven seconds: containers start often, and wires are fast.
 *
 * @returns the MAC address of whoever has it or is about to take it
 * @throws `KernelRefused`
 */
export async function findDuplicate(link: ArpLink, address: string): Promise<string | undefined> {
  const answer = await ask({
    link,
    packet: { operation: REQUEST, senderAddress: '0.0.0.0', targetMac: NOBODY, targetAddress: address },
    interval: 50,
    times: 3,
    isAnswer: found =>
      found.senderMac !== link.mac &&
      (found.senderAddress === address ||
        (found.senderAddress === '0.0.0.0' && found.targetAddress === address)),
  })
  return answer?.senderMac
}

/** Tells everybody who has an address now (RFC 5227 2.3). @throws `KernelRefused` */
export function announceAddress(link: ArpLink, mac: string, address: string): void {
  const socket = PacketSocket.open(link.index, ETHERTYPE_ARP)
  try {
    socket.send(
      encodeArp({
        operation: REQUEST,
        senderMac: mac,
        senderAddress: address,
        targetMac: NOBODY,
        targetAddress: address,
      }),
    )
  } finally {
    socket.close()
  }
}
