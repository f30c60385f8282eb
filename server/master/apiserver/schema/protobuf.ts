/**
 * Reads objects in Kubernetes' protobuf form (Kubernetes "Alternate representations of resources"): four magic bytes,
 * then a `runtime.Unknown` that names the kind and holds the object.
 *
 * The wire format is proto2 (protobuf "Encoding"). Types and names come from the table.
 */
import { type JsonObject, type JsonValue, setMember } from '../json.ts'
import { badRequest } from '../status.ts'
import type { FieldSchema, ObjectSchema, SchemaType } from './definitions.ts'
import type { TableWire } from './table.ts'

const MAGIC = Buffer.from('k8s\0', 'latin1')
/** Messages inside messages; deeper than any kind. */
const DEPTH_LIMIT = 100

const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const FIXED32 = 5

type WireValue = bigint | Buffer

interface WireField {
  readonly number: number
  readonly value: WireValue
}

function broken(): Error {
  return badRequest('the body of the request is not a valid protobuf message')
}

class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  *fields(): Generator<WireField> {
    while (this.#at < this.#bytes.length) {
      const tag = Number(this.varint())
      yield { number: Math.floor(tag / 8), value: this.#value(tag % 8) }
    }
  }

  varint(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#at]
      if (byte === undefined) throw broken()
      this.#at += 1
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asUintN(64, value)
    }
    throw broken()
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length
  }

  #take(length: number): Buffer {
    const end = this.#at + length
    if (length < 0 || end > this.#bytes.length) throw broken()
    const part = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return part
  }

  #value(type: number): WireValue {
    switch (type) {
      case VARINT:
        return this.varint()
      case FIXED64:
        return this.#take(8)
      case BYTES:
        return this.#take(Number(this.varint()))
      case FIXED32:
        return this.#take(4)
      default:
        throw broken()
    }
  }
}

function bytesOf(value: WireValue): Buffer {
  if (typeof value === 'bigint') throw broken()
  return value
}

function integerOf(value: WireValue): number {
  if (typeof value !== 'bigint') throw broken()
  return Number(BigInt.asIntN(64, value))
}

/** The fields of a small message by number; the last of several counts. */
function record(bytes: Buffer): Map<number, WireValue> {
  return new Map(Array.from(new Reader(bytes).fields(), ({ number, value }) => [number, value]))
}

/** `Time` and `MicroTime`: seconds and nanoseconds since 1970; empty means none. */
function timeOf(bytes: Buffer): JsonValue {
  const fields = record(bytes)
  const seconds = fields.get(1)
  if (seconds === undefined) return null
  const milliseconds = integerOf(seconds) * 1000
  const nanoseconds = String(integerOf(fields.get(2) ?? 0n)).padStart(9, '0')
  if (!(Math.abs(milliseconds) < 8.64e15)) throw broken()
  return `${new Date(milliseconds).toISOString().slice(0, 19)}.${nanoseconds}Z`
}

function intOrStringOf(bytes: Buffer): JsonValue {
  const fields = record(bytes)
  const text = fields.get(3)
  return integerOf(fields.get(1) ?? 0n) === 0
    ? integerOf(fields.get(2) ?? 0n)
    : text === undefined
      ? ''
      : bytesOf(text).toString('utf8')
}

/** Embedded JSON: its bytes in the first field. */
function anyOf(bytes: Buffer): JsonValue {
  const raw = record(bytes).get(1)
  if (raw === undefined) return null
  try {
    return JSON.parse(bytesOf(raw).toString('utf8'))
  } catch {
    throw broken()
  }
}

function isZero(value: JsonValue): boolean {
  return value === '' || value === 0
}

class Decoder {
  #depth = 0

  message(bytes: Buffer, schema: ObjectSchema): JsonObject {
    const object: JsonObject = {}
    this.#read(bytes, schema.source.wire ?? [], schema, object)
    return object
  }

  #read(bytes: Buffer, wire: TableWire, schema: ObjectSchema, object: JsonObject): void {
    this.#depth += 1
    if (this.#depth > DEPTH_LIMIT) throw broken()
    const names = new Map(wire)
    for (const { number, value } of new Reader(bytes).fields()) {
      const name = names.get(number)
      if (name === undefined) continue
      if (typeof name !== 'string') this.#read(bytesOf(value), name, schema, object)
      else {
        const field = schema.fields.get(name)
        if (field !== undefined) this.#member(object, field, value)
      }
    }
    this.#depth -= 1
  }

  #member(object: JsonObject, field: FieldSchema, value: WireValue): void {
    const { type, name } = field
    if (type.kind === 'list') {
      const list = Array.isArray(object[name]) ? object[name] : []
      list.push(...this.#items(type.items, value))
      object[name] = list
    } else if (type.kind === 'map') {
      const map = (object[name] ?? {}) as JsonObject
      this.#entry(map, type.values, bytesOf(value))
      object[name] = map
    } else {
      const decoded = this.#value(type, value)
      // Everything that is not a pointer is always sent; where nobody set it, it says nothing.
      const meaningful = field.required || (typeof field.source !== 'string' && field.source.zero === true)
      if (meaningful || !isZero(decoded)) object[name] = decoded
    }
  }

  /** One element, or several numbers packed into one field. */
  #items(type: SchemaType, value: WireValue): JsonValue[] {
    if (type.kind !== 'integer' || typeof value === 'bigint') return [this.#value(type, value)]
    const reader = new Reader(value)
    const items: JsonValue[] = []
    while (!reader.done) items.push(integerOf(reader.varint()))
    return items
  }

  #entry(map: JsonObject, values: SchemaType, bytes: Buffer): void {
    const fields = record(bytes)
    const key = fields.get(1)
    const value = fields.get(2)
    const decoded = this.#value(values, value ?? Buffer.alloc(0))
    setMember(map, key === undefined ? '' : bytesOf(key).toString('utf8'), decoded)
  }

  #value(type: SchemaType, value: WireValue): JsonValue {
    switch (type.kind) {
      case 'string':
        return bytesOf(value).toString('utf8')
      case 'bytes':
        return bytesOf(value).toString('base64')
      case 'boolean':
        return integerOf(value) !== 0
      case 'integer':
        return integerOf(value)
      case 'number':
        return bytesOf(value).length === 8 ? bytesOf(value).readDoubleLE() : integerOf(value)
      case 'time':
      case 'micro-time':
        return timeOf(bytesOf(value))
      case 'quantity':
        return bytesOf(record(bytesOf(value)).get(1) ?? Buffer.alloc(0)).toString('utf8') || '0'
      case 'int-or-string':
        return intOrStringOf(bytesOf(value))
      case 'any':
      case 'deduced':
        return anyOf(bytesOf(value))
      case 'object':
        return this.message(bytesOf(value), type.schema)
      case 'list':
        // A list as the value of a map is wrapped into a message of its own.
        return Array.from(new Reader(bytesOf(value)).fields(), item => this.#value(type.items, item.value))
      case 'map':
        throw broken()
    }
  }
}

/** Whether a body has the envelope of Kubernetes' protobuf form. */
function isProtobuf(body: Buffer): boolean {
  return body.subarray(0, MAGIC.length).equals(MAGIC)
}

/**
 * Decodes a body.
 *
 * @param findSchema the definition of a kind that the envelope names; undefined for an unknown one
 * @returns the object as JSON values with `apiVersion` and `kind`, still to be decoded along its definition
 * @throws `BadRequest`
 */
export function parseProtobuf(
  body: Buffer,
  findSchema: (apiVersion: string, kind: string) => ObjectSchema | undefined,
): JsonObject {
  if (!isProtobuf(body))
    throw badRequest('the body of the request does not have the envelope of its media type')
  const envelope = record(body.subarray(MAGIC.length))
  const typeMeta = record(bytesOf(envelope.get(1) ?? Buffer.alloc(0)))
  const text = (number: number) => bytesOf(typeMeta.get(number) ?? Buffer.alloc(0)).toString('utf8')
  const apiVersion = text(1)
  const kind = text(2)
  const schema = findSchema(apiVersion, kind)
  if (schema === undefined) {
    throw badRequest(
      `no kind ${JSON.stringify(kind.slice(0, 80))} is registered for version ${JSON.stringify(apiVersion.slice(0, 80))}`,
    )
  }
  const object = new Decoder().message(bytesOf(envelope.get(2) ?? Buffer.alloc(0)), schema)
  return { ...object, apiVersion, kind }
}
