/**
 * The messages by which the kernel's address sets are made and filled (linux/netfilter/ipset/ip_set.h), and read.
 *
 * By netlink and not by the `ipset` program: a change is one message, and starting a process costs more than all of it.
 */
import { parseAttributes } from 'netlink'
import { formatIpv4, parseIpv4 } from '../../kit/index.ts'
import { attribute, nestedAttribute } from '../netlink/index.ts'

/** Commands; a message's type is the subsystem's number and the command's. */
const SUBSYSTEM = 6
export const COMMAND = { create: 2, destroy: 3, flush: 4, list: 7, add: 9, delete: 10 } as const

/** Attributes of a message … */
const ATTRIBUTE = {
  protocol: 1,
  setName: 2,
  typeName: 3,
  revision: 4,
  family: 5,
  data: 7,
  entries: 8,
  line: 9,
}
/** … of an entry, or of a new set. */
const ENTRY = { address: 1, prefixLength: 3, line: 9, maximum: 19 }
/** The address inside of an entry's. */
const IPV4 = 1

const NETWORK_ORDER = 0x4000

/** The oldest protocol that kernels still speak, and the first revision of the types: all we need is in them. */
const PROTOCOL = 6
const REVISION = 0
const AF_INET = 2

/** struct nfgenmsg: family, version, resource. */
const HEADER = Buffer.from([AF_INET, 0, 0, 0])

export function messageType(command: keyof typeof COMMAND): number {
  return (SUBSYSTEM << 8) | COMMAND[command]
}

/** A number in network order, marked as such. */
function number32(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return attribute(type | NETWORK_ORDER, bytes)
}

function text(type: number, value: string): Buffer {
  return attribute(type, Buffer.from(`${value}\0`))
}

function byte(type: number, value: number): Buffer {
  return attribute(type, Buffer.from([value]))
}

function message(setName: string, ...attributes: readonly Buffer[]): Buffer {
  const address = [byte(ATTRIBUTE.protocol, PROTOCOL), text(ATTRIBUTE.setName, setName)]
  return Buffer.concat([HEADER, ...address, ...attributes])
}

/** For commands that need no more than a name. */
export function plainMessage(setName: string): Buffer {
  return message(setName)
}

export function createMessage(setName: string, type: string, maximum: number): Buffer {
  return message(
    setName,
    text(ATTRIBUTE.typeName, type),
    byte(ATTRIBUTE.revision, REVISION),
    byte(ATTRIBUTE.family, AF_INET),
    nestedAttribute(ATTRIBUTE.data, number32(ENTRY.maximum, maximum)),
  )
}

/** @param entries valid addresses or blocks, some hundred */
export function entriesMessage(setName: string, entries: readonly string[]): Buffer {
  return message(
    setName,
    // Where the kernel writes which entry is wrong.
    attribute(ATTRIBUTE.line, Buffer.alloc(4)),
    nestedAttribute(ATTRIBUTE.entries, ...entries.map(encodeEntry)),
  )
}

function encodeEntry(entry: string): Buffer {
  const [address = '', prefixLength] = entry.split('/')
  return nestedAttribute(
    ATTRIBUTE.data,
    nestedAttribute(ENTRY.address, number32(IPV4, parseIpv4(address) ?? 0)),
    ...(prefixLength === undefined ? [] : [byte(ENTRY.prefixLength, Number(prefixLength))]),
    number32(ENTRY.line, 0),
  )
}

export interface SetPart {
  /** Of the set; in the first part of it only. */
  readonly type: string | undefined
  readonly entries: readonly string[]
}

/** Reads one message of a listing. */
export function decodeSetPart(body: Buffer): SetPart {
  let type: string | undefined
  const entries: string[] = []
  parseAttributes(body.subarray(HEADER.length), ({ type: kind, data }) => {
    if (kind === ATTRIBUTE.typeName) type = data.toString('latin1').replace(/\0.*$/, '')
    if (kind !== ATTRIBUTE.entries) return
    parseAttributes(data, entry => {
      const text = decodeEntry(entry.data)
      if (text !== undefined) entries.push(text)
    })
  })
  return { type, entries }
}

function decodeEntry(data: Buffer): string | undefined {
  let address: string | undefined
  let prefixLength = 32
  parseAttributes(data, part => {
    if (part.type === ENTRY.prefixLength) prefixLength = part.data[0] ?? 32
    if (part.type !== ENTRY.address) return
    parseAttributes(part.data, inner => {
      if (inner.type === IPV4) address = formatIpv4(inner.data.readUInt32BE())
    })
  })
  if (address === undefined) return undefined
  return prefixLength === 32 ? address : `${address}/${prefixLength}`
}
