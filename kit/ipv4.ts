/** IPv4 addresses as 32-bit numbers and address blocks in CIDR notation (RFC 4632). */
import { kitErrors } from './errors.ts'

/** A block of addresses. `base` has all host bits zero. */
export interface Ipv4Block {
  readonly base: number
  /** 0 to 32. */
  readonly prefixLength: number
}

/**
 * Reads dotted-decimal notation, strictly: four decimal parts without leading zeros (a leading zero means octal
 * to some readers and decimal to others, CVE-2021-28918).
 *
 * @returns undefined when `text` is something else
 */
export function parseIpv4(text: string): number | undefined {
  const match = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/.exec(text)
  if (match === null) return undefined
  let value = 0
  for (const part of match.slice(1)) {
    const octet = Number(part)
    if (octet > 255) return undefined
    value = value * 256 + octet
  }
  return value
}

export function formatIpv4(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`
}

function maskOf(prefixLength: number): number {
  return prefixLength === 0 ? 0 : (0xffffffff << (32 - prefixLength)) >>> 0
}

/** Reads `10.42.0.64/26`; undefined when it is not a block or has host bits set. */
export function parseIpv4Block(text: string): Ipv4Block | undefined {
  const [address, prefix, ...rest] = text.split('/')
  if (address === undefined || prefix === undefined || rest.length > 0) return undefined
  const base = parseIpv4(address)
  if (base === undefined || !/^(\d|[12]\d|3[0-2])$/.test(prefix)) return undefined
  const prefixLength = Number(prefix)
  if ((base & maskOf(prefixLength)) >>> 0 !== base) return undefined
  return { base, prefixLength }
}

/** `parseIpv4Block` for values that must be right. @throws `InvalidFormat` */
export function requireIpv4Block(text: string, object: string): Ipv4Block {
  const block = parseIpv4Block(text)
  if (block === undefined) {
    throw kitErrors.InvalidFormat({
      object,
      message: `${text} is not an address block`,
      expected: 'a block such as 10.42.0.0/16',
    })
  }
  return block
}

export function formatIpv4Block(block: Ipv4Block): string {
  return `${formatIpv4(block.base)}/${block.prefixLength}`
}

/** How many addresses the block has, the first and the last included. */
export function ipv4BlockSize(block: Ipv4Block): number {
  return 2 ** (32 - block.prefixLength)
}

export function ipv4BlockContains(block: Ipv4Block, address: number): boolean {
  return (address & maskOf(block.prefixLength)) >>> 0 === block.base
}
