/** IPv6 addresses as bytes (RFC 4291, 2.2). */
import { isIPv6, SocketAddress } from 'node:net'
import { kitErrors } from './errors.ts'
import { formatIpv4, parseIpv4, requireIpv4Block } from './ipv4.ts'

function groups(text: string): number[] | undefined {
  if (text === '') return []
  const parts = text.split(':')
  const last = parts.at(-1) ?? ''
  if (!last.includes('.')) return parts.map(part => Number.parseInt(part, 16))
  const value = parseIpv4(last)
  if (value === undefined) return undefined
  return [...parts.slice(0, -1).map(part => Number.parseInt(part, 16)), value >>> 16, value & 0xffff]
}

/** @returns 16 bytes; undefined when `text` is something else, or has a zone */
export function parseIpv6(text: string): Buffer | undefined {
  if (!isIPv6(text) || text.includes('%')) return undefined
  const [head = '', tail] = text.split('::')
  const front = groups(head)
  const back = tail === undefined ? [] : groups(tail)
  if (front === undefined || back === undefined) return undefined
  const middle = Array.from({ length: 8 - front.length - back.length }, () => 0)
  const bytes = Buffer.alloc(16)
  for (const [index, group] of [...front, ...middle, ...back].entries()) bytes.writeUInt16BE(group, index * 2)
  return bytes
}

/** The shortest spelling, in lower case (RFC 5952), as the kernel and `ip` print it. @param bytes 16 of them */
export function formatIpv6(bytes: Uint8Array): string {
  const view = Buffer.from(bytes)
  const text = Array.from({ length: 8 }, (_, index) => view.readUInt16BE(index * 2).toString(16)).join(':')
  return new SocketAddress({ address: text, family: 'ipv6' }).address
}

/**
 * The first 96 bits of every container's IPv6 address; its IPv4 address is the rest (as in RFC 6052, 2.2), so whoever
 * knows one of them knows the other, and whatever is derived from IPv4 blocks can be derived for IPv6.
 */
export interface Ipv6Prefix {
  /** 12 bytes. */
  readonly bytes: Buffer
  /** In CIDR notation: `fd42::/96`. */
  readonly text: string
}

const PREFIX_LENGTH = 96

/** fc00::/7 (RFC 4193) and 2000::/3 (RFC 4291): what containers can be given. */
function isUnicast(first: number): boolean {
  return (first & 0xfe) === 0xfc || (first & 0xe0) === 0x20
}

/** Reads `fd42::/96`; undefined for other lengths, set host bits, and what is no unicast address of a site or of the world. */
export function parseIpv6Prefix(text: string): Ipv6Prefix | undefined {
  const [address = '', length, ...rest] = text.split('/')
  if (length !== String(PREFIX_LENGTH) || rest.length > 0) return undefined
  const bytes = parseIpv6(address)
  if (bytes === undefined || !isUnicast(bytes[0] ?? 0) || bytes.readUInt32BE(12) !== 0) return undefined
  return { bytes: bytes.subarray(0, 12), text: `${formatIpv6(bytes)}/${PREFIX_LENGTH}` }
}

/** `parseIpv6Prefix` for values that must be right. @throws `InvalidFormat` */
export function requireIpv6Prefix(text: string, object: string): Ipv6Prefix {
  const prefix = parseIpv6Prefix(text)
  if (prefix !== undefined) return prefix
  throw kitErrors.InvalidFormat({
    object,
    message: `${JSON.stringify(text.slice(0, 50))} is not a prefix for containers`,
    expected: 'a unicast prefix of 96 bits such as fd42::/96',
  })
}

/** The IPv6 address of whoever has that IPv4 address. @throws `InvalidFormat` for what is none */
export function withIpv6Prefix({ bytes }: Ipv6Prefix, ipv4: string): string {
  const value = parseIpv4(ipv4)
  if (value === undefined) {
    throw kitErrors.InvalidFormat({
      object: `address ${ipv4.slice(0, 50)}`,
      message: 'is not an IPv4 address',
    })
  }
  const whole = Buffer.alloc(16)
  bytes.copy(whole)
  whole.writeUInt32BE(value, 12)
  return formatIpv6(whole)
}

/** The IPv6 addresses of all who have an IPv4 address in `block`, in CIDR notation. @throws `InvalidFormat` */
export function blockWithIpv6Prefix(prefix: Ipv6Prefix, block: string): string {
  const { base, prefixLength } = requireIpv4Block(block, 'address block')
  return `${withIpv6Prefix(prefix, formatIpv4(base))}/${PREFIX_LENGTH + prefixLength}`
}
