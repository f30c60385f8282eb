/** Reads records: a whole object, one field of it, or only which shared values it uses. */
import { Kind } from './record-format.ts'
import type { SharedTable } from './shared-table.ts'

const DIGITS = Buffer.from('0123456789abcdef')
const DASH = '-'.charCodeAt(0)
/** Bytes of a uuid before which its text has a dash. */
const GROUPS: ReadonlySet<number> = new Set([4, 6, 8, 10])

type JsonObject = Record<string, unknown>

function setField(object: JsonObject, key: string, value: unknown): void {
  // Labels may be called anything, and assigning that one would do something else.
  if (key !== '__proto__') object[key] = value
  else Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true })
}

export class RecordReader {
  readonly #texts: SharedTable<string>
  readonly #shapes: SharedTable<readonly string[]>
  readonly #uuid = Buffer.alloc(36)
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0
  /** Texts of the record so far. */
  #own: string[] = []

  constructor(texts: SharedTable<string>, shapes: SharedTable<readonly string[]>) {
    this.#texts = texts
    this.#shapes = shapes
  }

  /** The object whose record begins at `start`. */
  read(bytes: Buffer, start: number): unknown {
    this.#begin(bytes, start)
    return this.#value()
  }

  /** One field of the object, as `read` would give it. */
  field(bytes: Buffer, start: number, wanted: string): unknown {
    this.#begin(bytes, start)
    const kind = this.#byte()
    const count = this.#varint()
    const keys = kind === Kind.shaped ? this.#shapes.get(count) : undefined
    for (let at = 0; at < (keys?.length ?? count); at += 1) {
      const key = keys === undefined ? this.#value() : keys[at]
      const value = this.#value()
      if (key === wanted) return value
    }
    return undefined
  }

  /** The record is one user less of the shared values in it. */
  release(bytes: Buffer, start: number): void {
    this.#begin(bytes, start)
    this.#releaseValue()
  }

  #begin(bytes: Buffer, start: number): void {
    this.#bytes = bytes
    this.#at = start
    this.#own = []
  }

  #value(): unknown {
    const kind = this.#byte()
    if (kind >= Kind.short) return this.#inline('latin1', kind - Kind.short)
    if (kind >= Kind.small) return kind - Kind.small
    switch (kind) {
      case Kind.null:
        return null
      case Kind.false:
        return false
      case Kind.true:
        return true
      case Kind.double:
        return this.#bytes.readDoubleLE(this.#skip(8) - 8)
      case Kind.integer: {
        const value = this.#varint()
        return value % 2 === 0 ? value / 2 : -(value + 1) / 2
      }
      case Kind.array:
        return this.#array()
      case Kind.shaped:
        return this.#shaped()
      case Kind.entries:
        return this.#entries()
      default:
        return this.#text(kind)
    }
  }

  #text(kind: number): string {
    switch (kind) {
      case Kind.shared:
        return this.#texts.get(this.#varint())
      case Kind.repeated:
        return this.#own[this.#varint()] ?? ''
      case Kind.uuid:
        return this.#remember(this.#uuidText())
      case Kind.hexadecimal:
        return this.#inline('hex', this.#varint())
      case Kind.utf8:
        return this.#inline('utf8', this.#varint())
      default:
        return this.#inline('utf16le', this.#varint())
    }
  }

  #uuidText(): string {
    let to = 0
    for (let at = 0; at < 16; at += 1) {
      const byte = this.#byte()
      if (GROUPS.has(at)) this.#uuid[to++] = DASH
      this.#uuid[to++] = DIGITS[byte >> 4] ?? 0
      this.#uuid[to++] = DIGITS[byte & 0xf] ?? 0
    }
    return this.#uuid.toString('latin1')
  }

  #inline(encoding: 'latin1' | 'hex' | 'utf8' | 'utf16le', length: number): string {
    return this.#remember(this.#bytes.toString(encoding, this.#at, this.#skip(length)))
  }

  #array(): unknown[] {
    const values: unknown[] = []
    for (let left = this.#varint(); left > 0; left -= 1) values.push(this.#value())
    return values
  }

  #shaped(): JsonObject {
    const object: JsonObject = {}
    for (const key of this.#shapes.get(this.#varint())) setField(object, key, this.#value())
    return object
  }

  #entries(): JsonObject {
    const object: JsonObject = {}
    for (let left = this.#varint(); left > 0; left -= 1) {
      const key = this.#value() as string
      setField(object, key, this.#value())
    }
    return object
  }

  #releaseValue(): void {
    const kind = this.#byte()
    if (kind >= Kind.short) this.#skip(kind - Kind.short)
    else if (kind < Kind.small) this.#releaseLong(kind)
  }

  #releaseLong(kind: number): void {
    switch (kind) {
      case Kind.null:
      case Kind.false:
      case Kind.true:
        return
      case Kind.double:
        this.#skip(8)
        return
      case Kind.uuid:
        this.#skip(16)
        return
      case Kind.integer:
      case Kind.repeated:
        this.#varint()
        return
      case Kind.shared:
        this.#texts.release(this.#varint())
        return
      case Kind.array:
        for (let left = this.#varint(); left > 0; left -= 1) this.#releaseValue()
        return
      case Kind.entries:
        for (let left = 2 * this.#varint(); left > 0; left -= 1) this.#releaseValue()
        return
      case Kind.shaped: {
        const shape = this.#varint()
        for (let left = this.#shapes.get(shape).length; left > 0; left -= 1) this.#releaseValue()
        this.#shapes.release(shape)
        return
      }
      default:
        this.#skip(this.#varint())
    }
  }

  #remember(text: string): string {
    this.#own.push(text)
    return text
  }

  #byte(): number {
    const byte = this.#bytes[this.#at] ?? 0
    this.#at += 1
    return byte
  }

  /** @returns the place behind what is skipped */
  #skip(bytes: number): number {
    this.#at += bytes
    return this.#at
  }

  #varint(): number {
    let value = 0
    let factor = 1
    for (;;) {
      const byte = this.#byte()
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
      factor *= 0x80
    }
  }
}
