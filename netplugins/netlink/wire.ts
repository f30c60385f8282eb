/** How rtnetlink writes addresses: raw bytes in network order. */
import { formatIpv4, type Ipv4Block, kitErrors, parseIpv4, parseIpv4Block } from '../../kit/index.ts'

/** Address families in rtnetlink messages. */
export const AF_INET = 2
export const AF_BRIDGE = 7

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
export function encodeIpv4Block(text: string): { prefix: Buffer; prefixLength: number } {
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
