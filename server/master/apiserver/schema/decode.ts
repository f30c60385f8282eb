/**
 * Brings a client's object into the form of its definition: types checked, unknown fields dropped and told, values
 * in their canonical text, defaults filled in.
 *
 * It does what decoding into Go structs and encoding again does in Kubernetes, with the same consequences: null and
 * empty optional lists and maps vanish, fields without `omitempty` appear with their zero value.
 */
import { cloneJson, isDeeperThan, isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { type FieldProblem, notSupported, required } from '../problems.ts'
import { badRequest } from '../status.ts'
import type { FieldSchema, ObjectSchema, SchemaType } from './definitions.ts'
import { canonicalQuantity } from './quantity.ts'
import { canonicalMicroTime, canonicalTime } from './time.ts'

export interface Decoded {
  /** Paths of fields that the definition does not have. */
  readonly unknown: readonly string[]
  /** Missing required fields and values outside their enumeration. */
  readonly problems: readonly FieldProblem[]
}

/** Levels of objects and lists. */
const DEEPEST = 256

/** What one answer tells; an object may hold millions of unknown fields. */
const MOST_TOLD = 50

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

function typeName(type: SchemaType): string {
  switch (type.kind) {
    case 'integer':
      return `int${type.bits}`
    case 'list':
      return `[]${typeName(type.items)}`
    case 'map':
      return `map[string]${typeName(type.values)}`
    case 'object':
      return type.schema.name.split('.').slice(-2).join('.')
    case 'bytes':
      return '[]uint8'
    case 'boolean':
      return 'bool'
    case 'number':
      return 'float64'
    default:
      return type.kind
  }
}

function jsonTypeName(value: JsonValue): string {
  if (Array.isArray(value)) return 'array'
  return typeof value === 'boolean' ? 'bool' : typeof value
}

/** What a null element of a list or map becomes: the zero value of its type. */
function zeroOf(type: SchemaType): JsonValue {
  switch (type.kind) {
    case 'integer':
    case 'number':
    case 'int-or-string':
      return 0
    case 'boolean':
      return false
    case 'quantity':
      return '0'
    case 'list':
      return []
    case 'map':
    case 'object':
      return {}
    case 'any':
    case 'deduced':
    case 'time':
    case 'micro-time':
      return null
    default:
      return ''
  }
}

class Decoder {
  readonly unknown: string[] = []
  readonly problems: FieldProblem[] = []
  readonly #path: (string | number)[] = []
  readonly #kind: string
  /** Inside a status, which is a report and not a wish, missing fields are filled and not asked for. */
  #reporting = false

  constructor(kind: string) {
    this.#kind = kind
  }

  #pathText(): string {
    let text = ''
    for (const part of this.#path) {
      if (typeof part === 'number') text += `[${part}]`
      else text += text === '' ? part : `.${part}`
    }
    return text
  }

  #mismatch(value: JsonValue, type: SchemaType): never {
    throw badRequest(
      `${this.#kind}: json: cannot unmarshal ${jsonTypeName(value)} into field ${this.#pathText()} of type ${typeName(type)}`,
    )
  }

  #problem(problem: FieldProblem): void {
    if (this.problems.length < MOST_TOLD) this.problems.push(problem)
  }

  object(value: JsonObject, schema: ObjectSchema): void {
    // Only definitions that refer to themselves get there.
    if (this.#path.length > DEEPEST) {
      throw badRequest(`${this.#kind}: the object is nested more than ${DEEPEST} levels deep`)
    }
    for (const key of Object.keys(value)) {
      const field = schema.fields.get(key)
      if (field === undefined) {
        delete value[key]
        if (this.unknown.length < MOST_TOLD) {
          this.#path.push(key)
          this.unknown.push(this.#pathText())
          this.#path.pop()
        }
        continue
      }
      const member = value[key] as JsonValue
      if (member === null) {
        delete value[key]
        continue
      }
      this.#path.push(key)
      const outermost = this.#path.length === 1 && key === 'status'
      if (outermost) this.#reporting = true
      const decoded = this.#value(member, field.type)
      if (field.enum !== undefined) this.#checkEnum(decoded, field.enum)
      if (!field.required && isEmpty(decoded, field.type)) delete value[key]
      else if (decoded !== member) value[key] = decoded
      if (outermost) this.#reporting = false
      this.#path.pop()
    }
    if (schema.completed.length > 0) this.#complete(value, schema.completed)
  }

  #complete(value: JsonObject, fields: readonly FieldSchema[]): void {
    for (const field of fields) {
      if (value[field.name] !== undefined) continue
      this.#path.push(field.name)
      const structural = field.type.kind === 'object' && field.default !== undefined
      if (field.required && !structural && !this.#reporting) this.#problem(required(this.#pathText()))
      if (field.default !== undefined) {
        const outermost = this.#path.length === 1 && field.name === 'status'
        if (outermost) this.#reporting = true
        const filled = cloneJson(field.default)
        if (field.type.kind === 'object' && isJsonObject(filled)) this.object(filled, field.type.schema)
        value[field.name] = filled
        if (outermost) this.#reporting = false
      }
      this.#path.pop()
    }
  }

  #checkEnum(value: JsonValue, allowed: ReadonlySet<string>): void {
    if (typeof value !== 'string' || allowed.has(value)) return
    this.#problem(notSupported(this.#pathText(), value, allowed))
  }

  /** An element of a list or map, which may be null. */
  #element(value: JsonValue, type: SchemaType): JsonValue {
    if (value !== null) return this.#value(value, type)
    const zero = zeroOf(type)
    return zero === null ? null : this.#value(zero, type)
  }

  #value(value: JsonValue, type: SchemaType): JsonValue {
    switch (type.kind) {
      case 'string':
        return typeof value === 'string' ? value : this.#mismatch(value, type)
      case 'boolean':
        return typeof value === 'boolean' ? value : this.#mismatch(value, type)
      case 'integer':
        return this.#integer(value, type)
      case 'number':
        return typeof value === 'number' ? value : this.#mismatch(value, type)
      case 'object':
        if (!isJsonObject(value)) this.#mismatch(value, type)
        this.object(value, type.schema)
        return value
      case 'list':
        return this.#list(value, type)
      case 'map':
        return this.#map(value, type)
      case 'any':
      case 'deduced':
        return this.#anything(value)
      default:
        return this.#text(value, type)
    }
  }

  /** What is not read here is read by others, who must not run out of stack. */
  #anything(value: JsonValue): JsonValue {
    if (typeof value === 'object' && isDeeperThan(value, DEEPEST)) {
      throw badRequest(`${this.#kind}: field ${this.#pathText()} is nested more than ${DEEPEST} levels deep`)
    }
    return value
  }

  /** Scalars with a text form of their own. */
  #text(value: JsonValue, type: SchemaType): JsonValue {
    switch (type.kind) {
      case 'bytes':
        return this.#bytes(value, type)
      case 'int-or-string':
        if (typeof value === 'string') return value
        return this.#integer(value, { kind: 'integer', bits: 32 })
      case 'quantity':
        return this.#quantity(value, type)
      case 'time':
      case 'micro-time':
        return this.#time(value, type)
      default:
        return this.#mismatch(value, type)
    }
  }

  #integer(value: JsonValue, type: SchemaType & { kind: 'integer' }): number {
    if (typeof value !== 'number' || !Number.isInteger(value)) this.#mismatch(value, type)
    const limit = 2 ** (type.bits - 1)
    if (value < -limit || value >= limit) this.#mismatch(value, type)
    return value
  }

  #bytes(value: JsonValue, type: SchemaType): string {
    if (typeof value !== 'string') this.#mismatch(value, type)
    const text = value.includes('\n') ? value.replaceAll(/[\r\n]/g, '') : value
    if (!BASE64.test(text))
      throw badRequest(`${this.#kind}: illegal base64 data in field ${this.#pathText()}`)
    return text
  }

  #quantity(value: JsonValue, type: SchemaType): string {
    if (typeof value !== 'string' && typeof value !== 'number') this.#mismatch(value, type)
    const canonical = canonicalQuantity(String(value).trim())
    if (canonical === undefined) {
      throw badRequest(
        `${this.#kind}: field ${this.#pathText()}: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`,
      )
    }
    return canonical
  }

  #time(value: JsonValue, type: SchemaType & { kind: 'time' | 'micro-time' }): string {
    if (typeof value !== 'string') this.#mismatch(value, type)
    const canonical = type.kind === 'time' ? canonicalTime(value) : canonicalMicroTime(value)
    if (canonical === undefined) {
      throw badRequest(
        `${this.#kind}: parsing time ${JSON.stringify(value.slice(0, 64))} in field ${this.#pathText()} as RFC 3339 failed`,
      )
    }
    return canonical
  }

  #list(value: JsonValue, type: SchemaType & { kind: 'list' }): JsonValue {
    if (!Array.isArray(value)) this.#mismatch(value, type)
    for (let index = 0; index < value.length; index += 1) {
      this.#path.push(index)
      value[index] = this.#element(value[index] ?? null, type.items)
      this.#path.pop()
    }
    return value
  }

  #map(value: JsonValue, type: SchemaType & { kind: 'map' }): JsonValue {
    if (!isJsonObject(value)) this.#mismatch(value, type)
    for (const key of Object.keys(value)) {
      this.#path.push(key)
      const item = value[key] ?? null
      const decoded = this.#element(item, type.values)
      // An own `__proto__` is a string already and needs no setting.
      if (decoded !== item) value[key] = decoded
      this.#path.pop()
    }
    return value
  }
}

function isEmpty(value: JsonValue, type: SchemaType): boolean {
  if (type.kind === 'list') return Array.isArray(value) && value.length === 0
  return type.kind === 'map' && isJsonObject(value) && Object.keys(value).length === 0
}

/**
 * Decodes `value` in place.
 *
 * @param kind what the object is, for messages: `Pod in version "v1" cannot be handled as a Pod`
 * @throws `BadRequest` when a value has another type than its field
 */
export function decodeObject(value: JsonObject, schema: ObjectSchema, kind: string): Decoded {
  const decoder = new Decoder(kind)
  decoder.object(value, schema)
  return { unknown: decoder.unknown, problems: decoder.problems }
}
