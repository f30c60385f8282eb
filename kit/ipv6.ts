/** IPv6 addresses as bytes (RFC 4291, 2.2). */
import { isIPv6 } from 'node:net'
import { parseIpv4 } from './ipv4.ts'

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
