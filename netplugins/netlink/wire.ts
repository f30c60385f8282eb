/** How rtnetlink writes addresses: raw bytes in network order. */
import {
  formatIpv4,
  formatIpv6,
  type Ipv4Block,
  kitErrors,
  parseIpv4,
  parseIpv4Block,
  parseIpv6,
} from '../../kit/index.ts'

/** Address families in rtnetlink messages. */
export const AF_INET = 2
export const AF_BRIDGE = 7
export const AF_INET6 = 10

/** Version of the internet protocol. */
export type IpFamily = 4 | 6

/** The number of a family in rtnetlink messages. */
export function familyNumber(family: IpFamily): number {
  return family === 6 ? AF_INET6 : AF_INET
}

/** Which family an address or a destination in CIDR notation is of. */
export function familyOf(text: string): IpFamily {
  return text.includes(':') ? 6 : 4
}

/** @throws `InvalidFormat` when `address` is of neither family */
export function encodeAddress(address: string): Buffer {
  if (familyOf(address) === 4) return encodeIpv4(address)
  const bytes = parseIpv6(address)
  if (bytes !== undefined) return bytes
  throw kitErrors.InvalidFormat({ object: 'address', message: `${address} is not an IPv6 address` })
}

/** Tells the family by the length. */
export function decodeAddress(bytes: Uint8Array | undefined): string | undefined {
  return bytes?.length === 16 ? formatIpv6(bytes) : decodeIpv4(bytes)
}

/** A destination in CIDR notation as prefix bytes and length. @throws `InvalidFormat` */
export function encodeBlock(text: string): { prefix: Buffer; prefixLength: number } {
  if (familyOf(text) === 4) return encodeIpv4Block(text)
  const [address = '', length = '', ...rest] = text.split('/')
  const prefix = parseIpv6(address)
  if (prefix === undefined || !/^\d{1,3}$/.test(length) || Number(length) > 128 || rest.length > 0) {
    throw kitErrors.InvalidFormat({ object: 'address block', message: `${text} is not an address block` })
  }
  return { prefix, prefixLength: Number(length) }
}

/** @throws `InvalidFormat` when `address` is not dotted-decimal */
export function encodeIpv4(address: string): Buffer {
  const value = parseIpv4(address)
  if (value === undefined) {
    throw kitErrors.InvalidFormat({ object: 'address', message: `${address} is not an IPv4 address` })
  }
  return encodeIpv4Number(value)
}

function encodeIpv4Number(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export function decodeIpv4(bytes: Uint8Array | undefined): string | undefined {
  if (bytes?.length !== 4) return undefined
  return formatIpv4(Buffer.from(bytes).readUInt32BE())
}

/** A destination in CIDR notation as prefix bytes and length. @throws `InvalidFormat` */
function encodeIpv4Block(text: string): { prefix: Buffer; prefixLength: number } {
  const block: Ipv4Block | undefined = parseIpv4Block(text)
  if (block === undefined) {
    throw kitErrors.InvalidFormat({ object: 'address block', message: `${text} is not an address block` })
  }
  return { prefix: encodeIpv4Number(block.base), prefixLength: block.prefixLength }
}

/** Reads `02:d0:0a:2a:00:05`. @throws `InvalidFormat` */
export function encodeMac(mac: string): Buffer {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac)) {
    throw kitErrors.InvalidFormat({ object: 'MAC address', message: `${mac} is not a MAC address` })
  }
  return Buffer.from(mac.replaceAll(':', ''), 'hex')
}

export function decodeMac(bytes: Uint8Array | undefined): string | undefined {
  if (bytes?.length !== 6) return undefined
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join(':')
}
