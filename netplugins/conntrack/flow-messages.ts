/** The messages about tracked connections (linux/netfilter/nfnetlink_conntrack.h). */
import { parseAttributes } from 'netlink'
import { formatIpv4 } from '../../kit/index.ts'
import { attribute, nestedAttribute } from '../netlink/index.ts'

/** A message's type is the subsystem's number and the command's. */
const SUBSYSTEM = 1
export const MESSAGE = { get: (SUBSYSTEM << 8) | 1, delete: (SUBSYSTEM << 8) | 2 } as const

const ATTRIBUTE = { original: 1, reply: 2, id: 12, zone: 18, filter: 25 } as const
const TUPLE = { ip: 1, protocol: 2 } as const
const IP = { source: 1, destination: 2 } as const
const PORTS = { protocol: 1, source: 2, destination: 3 } as const

/** Which parts of the tuple a filter looks at. */
const FILTER_ORIGINAL = 1
const FILTER_REPLY = 2
const FILTER_PROTOCOL = 1 << 3
const FILTER_DESTINATION_PORT = 1 << 5

const UDP = 17

/** struct nfgenmsg: family (AF_INET), version, resource. */
const HEADER = Buffer.from([2, 0, 0, 0])

interface Direction {
  readonly source: string
  readonly destination: string
  readonly sourcePort: number
  readonly destinationPort: number
}

/** One flow as the kernel remembers it: what was asked, and how the answer to it looks. */
export interface UdpFlow {
  readonly original: Direction
  readonly reply: Direction
  /** By which the kernel is told to delete this flow and no other. */
  readonly identity: Buffer
}

function number(type: number, value: number, size: 1 | 2 | 4, littleEndian = false): Buffer {
  const bytes = Buffer.alloc(size)
  if (littleEndian) bytes.writeUIntLE(value, 0, size)
  else bytes.writeUIntBE(value, 0, size)
  return attribute(type, bytes)
}

/** Asks for the UDP flows to a port. Kernels that know no filters pass over it. */
export function flowsToMessage(port: number): Buffer {
  const flags = FILTER_PROTOCOL | FILTER_DESTINATION_PORT
  const ports = nestedAttribute(
    TUPLE.protocol,
    number(PORTS.protocol, UDP, 1),
    number(PORTS.destination, port, 2),
  )
  return Buffer.concat([
    HEADER,
    nestedAttribute(ATTRIBUTE.original, ports),
    // These two are in the machine's own order.
    nestedAttribute(
      ATTRIBUTE.filter,
      number(FILTER_ORIGINAL, flags, 4, true),
      number(FILTER_REPLY, 0, 4, true),
    ),
  ])
}

export function deleteMessage(flow: UdpFlow): Buffer {
  return Buffer.concat([HEADER, flow.identity])
}

/** @returns undefined for what is no UDP flow of IPv4 */
export function decodeFlow(body: Buffer): UdpFlow | undefined {
  let original: Direction | undefined
  let reply: Direction | undefined
  const identity: Buffer[] = []
  parseAttributes(body.subarray(HEADER.length), ({ type, data }) => {
    switch (type) {
      case ATTRIBUTE.original:
        original = decodeDirection(data)
        identity.push(nestedAttribute(type, data))
        break
      case ATTRIBUTE.reply:
        reply = decodeDirection(data)
        break
      case ATTRIBUTE.id:
      case ATTRIBUTE.zone:
        identity.push(attribute(type, data))
    }
  })
  return original && reply && { original, reply, identity: Buffer.concat(identity) }
}

function decodeDirection(data: Buffer): Direction | undefined {
  const parts: Partial<Record<keyof Direction, string | number>> & { protocol?: number } = {}
  parseAttributes(data, ({ type, data: inner }) => {
    parseAttributes(inner, ({ type: kind, data: value }) => {
      if (type === TUPLE.ip && value.length === 4) {
        if (kind === IP.source) parts.source = formatIpv4(value.readUInt32BE())
        if (kind === IP.destination) parts.destination = formatIpv4(value.readUInt32BE())
      }
      if (type !== TUPLE.protocol) return
      if (kind === PORTS.protocol) parts.protocol = value.readUInt8()
      if (kind === PORTS.source) parts.sourcePort = value.readUInt16BE()
      if (kind === PORTS.destination) parts.destinationPort = value.readUInt16BE()
    })
  })
  const { source, destination, sourcePort, destinationPort, protocol } = parts
  if (protocol !== UDP || typeof source !== 'string' || typeof destination !== 'string') return undefined
  if (typeof sourcePort !== 'number' || typeof destinationPort !== 'number') return undefined
  return { source, destination, sourcePort, destinationPort }
}
