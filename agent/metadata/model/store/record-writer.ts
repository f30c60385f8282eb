/** Writes objects as records. */
import type { MetadataObject } from '../../../../protocol/index.ts'
import { Kind, LARGEST_SMALL, LONGEST_SHORT, shapeText } from './record-format.ts'
import type { SharedTable } from './shared-table.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const HEXADECIMAL = /^(?:[0-9a-f]{2}){8,}$/

function sameKeys(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((key, at) => key === right[at])
}

export class RecordWriter {
  readonly #texts: SharedTable<string>
  readonly #shapes: SharedTable<readonly string[]>
  #bytes = Buffer.allocUnsafeSlow(4_096)
  #at = 0
  /** Texts of the record so far, and which they were. */
  readonly #own = new Map<string, number>()
  #owner = -1

  constructor(texts: SharedTable<string>, shapes: SharedTable<readonly string[]>) {
    this.#texts = texts
    this.#shapes = shapes
  }

  /**
   * The record of an object of JSON. It becomes a user of the shared values in it.
   *
   * @param owner names the object among all others
   * @returns bytes that are good until the next call
   */
  write(object: MetadataObject, owner: number): Buffer {
    this.#at = 0
    this.#owner = owner
    this.#own.clear()
    this.#value(object)
    return this.#bytes.subarray(0, this.#at)
  }

  #value(value: unknown): void {
    switch (typeof value) {
      case 'string':
        this.#text(value)
        return
      case 'number':
        this.#number(value)
        return
      case 'boolean':
        this.#byte(value ? Kind.true : Kind.false)
        return
      case 'object':
        if (value === null) this.#byte(Kind.null)
        else if (Array.isArray(value)) this.#array(value)
        else this.#object(value as Readonly<Record<string, unknown>>)
        return
      default:
        // As JSON has it.
        this.#byte(Kind.null)
    }
  }

  #number(value: number): void {
    if (Object.is(value, -0) || (value | 0) !== value) {
      this.#byte(Kind.double)
      this.#makeRoom(8)
      this.#at = this.#bytes.writeDoubleLE(value, this.#at)
    } else if (value >= 0 && value <= LARGEST_SMALL) {
      this.#byte(Kind.small + value)
    } else {
      this.#byte(Kind.integer)
      this.#varint(value >= 0 ? value * 2 : -value * 2 - 1)
    }
  }

  #array(values: readonly unknown[]): void {
    this.#byte(Kind.array)
    this.#varint(values.length)
    for (const value of values) this.#value(value)
  }

  #object(object: Readonly<Record<string, unknown>>): void {
    const keys = Object.keys(object).filter(key => object[key] !== undefined)
    const shape = this.#shape(keys)
    if (shape === undefined) {
      this.#byte(Kind.entries)
      this.#varint(keys.length)
      for (const key of keys) {
        this.#text(key)
        this.#value(object[key])
      }
      return
    }
    this.#byte(Kind.shaped)
    this.#varint(shape)
    for (const key of keys) this.#value(object[key])
  }

  #shape(keys: readonly string[]): number | undefined {
    const text = shapeText(keys)
    const known = this.#shapes.find(text)
    if (known === undefined) return this.#shapes.share(text, keys, this.#owner)
    if (!sameKeys(this.#shapes.get(known), keys)) return undefined
    this.#shapes.use(known)
    return known
  }

  #text(text: string): void {
    const known = this.#texts.find(text)
    if (known !== undefined) {
      this.#texts.use(known)
      this.#byte(Kind.shared)
      this.#varint(known)
      return
    }
    const earlier = this.#own.get(text)
    if (earlier !== undefined) {
      this.#byte(Kind.repeated)
      this.#varint(earlier)
      return
    }
    const shared = this.#texts.share(text, text, this.#owner)
    if (shared !== undefined) {
      this.#byte(Kind.shared)
      this.#varint(shared)
      return
    }
    this.#own.set(text, this.#own.size)
    this.#newText(text)
  }

  #newText(text: string): void {
    if (text.length === 36 && UUID.test(text)) {
      this.#byte(Kind.uuid)
      this.#hexadecimal(text.replaceAll('-', ''))
    } else if (text.length >= 16 && HEXADECIMAL.test(text)) {
      this.#byte(Kind.hexadecimal)
      this.#varint(text.length / 2)
      this.#hexadecimal(text)
    } else if (!this.#short(text)) {
      const encoding = text.isWellFormed() ? 'utf8' : 'utf16le'
      const length = Buffer.byteLength(text, encoding)
      this.#byte(encoding === 'utf8' ? Kind.utf8 : Kind.utf16)
      this.#varint(length)
      this.#makeRoom(length)
      this.#at += this.#bytes.write(text, this.#at, encoding)
    }
  }

  #hexadecimal(digits: string): void {
    this.#makeRoom(digits.length / 2)
    this.#at += this.#bytes.write(digits, this.#at, 'hex')
  }

  /** False, with nothing written, when it is too long or has characters of more than a byte. */
  #short(text: string): boolean {
    const { length } = text
    if (length > LONGEST_SHORT) return false
    this.#makeRoom(length + 1)
    const bytes = this.#bytes
    const first = this.#at + 1
    for (let at = 0; at < length; at += 1) {
      const code = text.charCodeAt(at)
      if (code > 0xff) return false
      bytes[first + at] = code
    }
    bytes[this.#at] = Kind.short + length
    this.#at = first + length
    return true
  }

  #byte(value: number): void {
    this.#makeRoom(1)
    this.#bytes[this.#at] = value
    this.#at += 1
  }

  /** Seven bits in a byte, the lowest first; all but the last byte have the eighth. */
  #varint(value: number): void {
    let rest = value
    while (rest > 0x7f) {
      this.#byte((rest % 0x80) | 0x80)
      rest = Math.floor(rest / 0x80)
    }
    this.#byte(rest)
  }

  #makeRoom(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#at + bytes))
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}
