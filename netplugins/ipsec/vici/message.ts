/**
 * Messages of VICI, the control protocol of strongSwan's IKE daemon (its src/libcharon/plugins/vici/README.md): a tree of
 * sections, key/value pairs and lists of values.
 *
 * Values are text here: charon writes nothing else, and what it reads as raw bytes (keys, certificates) is text as well.
 */
import { networkErrors } from '../../errors.ts'

export type ViciValue = string | readonly string[] | ViciSection

export interface ViciSection {
  readonly [key: string]: ViciValue
}

const SECTION_START = 1
const SECTION_END = 2
const KEY_VALUE = 3
const LIST_START = 4
const LIST_ITEM = 5
const LIST_END = 6

/** Bytes of a name, whose length is one byte. */
const NAME_LIMIT = 255

/** Bytes of a value, whose length is two bytes. */
const VALUE_LIMIT = 65_535

/** Sections within sections; charon's own messages have five. */
const DEPTH_LIMIT = 16

function malformed(message: string): Error {
  return networkErrors.MalformedVici({ object: 'VICI message', message })
}

function prefixed(text: string, limit: number, lengthBytes: 1 | 2): Buffer {
  const bytes = Buffer.from(text)
  if (bytes.length > limit) {
    throw networkErrors.MalformedVici({
      object: 'VICI message',
      message: `holds a text of ${bytes.length} bytes`,
      expected: `at most ${limit} bytes`,
    })
  }
  const length = Buffer.alloc(lengthBytes)
  length.writeUIntBE(bytes.length, 0, lengthBytes)
  return Buffer.concat([length, bytes])
}

/** One byte of length, then the name. @throws `MalformedVici` when it is longer than 255 bytes */
export function encodeName(name: string): Buffer {
  return prefixed(name, NAME_LIMIT, 1)
}

function encodeElements(section: ViciSection, depth: number, parts: Buffer[]): void {
  if (depth > DEPTH_LIMIT) throw malformed(`has more than ${DEPTH_LIMIT} sections within each other`)
  for (const [key, value] of Object.entries(section)) {
    if (typeof value === 'string') {
      parts.push(Buffer.from([KEY_VALUE]), encodeName(key), prefixed(value, VALUE_LIMIT, 2))
    } else if (isList(value)) {
      parts.push(Buffer.from([LIST_START]), encodeName(key))
      for (const item of value) parts.push(Buffer.from([LIST_ITEM]), prefixed(item, VALUE_LIMIT, 2))
      parts.push(Buffer.from([LIST_END]))
    } else {
      parts.push(Buffer.from([SECTION_START]), encodeName(key))
      encodeElements(value, depth + 1, parts)
      parts.push(Buffer.from([SECTION_END]))
    }
  }
}

function isList(value: ViciValue): value is readonly string[] {
  return Array.isArray(value)
}

/** @throws `MalformedVici` for names, values or a depth that the protocol cannot carry */
export function encodeMessage(message: ViciSection): Buffer {
  const parts: Buffer[] = []
  encodeElements(message, 0, parts)
  return Buffer.concat(parts)
}

/** Reads forward through bytes and never past their end. */
export class ViciReader {
  readonly #bytes: Buffer
  #position = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get isAtEnd(): boolean {
    return this.#position >= this.#bytes.length
  }

  /** @throws `MalformedVici` when there are fewer bytes than that */
  take(length: number): Buffer {
    const end = this.#position + length
    if (end > this.#bytes.length) throw malformed(`ends after ${this.#bytes.length} of ${end} bytes`)
    const taken = this.#bytes.subarray(this.#position, end)
    this.#position = end
    return taken
  }

  byte(): number {
    return this.take(1).readUInt8()
  }

  name(): string {
    return this.take(this.byte()).toString('utf8')
  }

  value(): string {
    return this.take(this.take(2).readUInt16BE()).toString('utf8')
  }
}

type OpenSection = Record<string, ViciValue>

/** Without a prototype, so that a key called `__proto__` is a key. */
function emptySection(): OpenSection {
  return Object.create(null) as OpenSection
}

function decodeList(reader: ViciReader): string[] {
  const items: string[] = []
  for (let type = reader.byte(); type !== LIST_END; type = reader.byte()) {
    if (type !== LIST_ITEM) throw malformed(`has an element of type ${type} in a list`)
    items.push(reader.value())
  }
  return items
}

/**
 * The rest of `reader` as a message. Of several values with one key the last counts.
 *
 * @throws `MalformedVici` when it is not one
 */
export function decodeMessage(reader: ViciReader): ViciSection {
  const root = emptySection()
  const open: OpenSection[] = [root]
  while (!reader.isAtEnd) {
    const section = open.at(-1)
    if (section === undefined) throw malformed('ends a section that never began')
    const type = reader.byte()
    switch (type) {
      case SECTION_START: {
        const inner = emptySection()
        section[reader.name()] = inner
        open.push(inner)
        if (open.length > DEPTH_LIMIT + 1)
          throw malformed(`has more than ${DEPTH_LIMIT} sections within each other`)
        break
      }
      case SECTION_END:
        open.pop()
        break
      case KEY_VALUE: {
        const name = reader.name()
        section[name] = reader.value()
        break
      }
      case LIST_START: {
        const name = reader.name()
        section[name] = decodeList(reader)
        break
      }
      default:
        throw malformed(`has an element of the unknown type ${type}`)
    }
  }
  if (open.length !== 1) throw malformed('does not end every section that it begins')
  return root
}

/** The text under `key`; undefined when there is none, or something else. */
export function textOf(section: ViciSection | undefined, key: string): string | undefined {
  const value = section?.[key]
  return typeof value === 'string' ? value : undefined
}

/** The list under `key`; empty when there is none, or something else. */
export function listOf(section: ViciSection | undefined, key: string): readonly string[] {
  const value = section?.[key]
  return value !== undefined && typeof value !== 'string' && isList(value) ? value : []
}

/** Every section in `section` with its name. */
export function sectionsOf(section: ViciSection | undefined): [name: string, section: ViciSection][] {
  return Object.entries(section ?? {}).flatMap(([name, value]) =>
    typeof value === 'string' || isList(value) ? [] : [[name, value] satisfies [string, ViciSection]],
  )
}

/** The section under `key`; undefined when there is none, or something else. */
export function sectionOf(section: ViciSection | undefined, key: string): ViciSection | undefined {
  const value = section?.[key]
  return value === undefined || typeof value === 'string' || isList(value) ? undefined : value
}
