/** Fields of `/v3` types: what they hold, who may set them, and the check of what a client sends. */
import { apiErrors } from './errors.ts'

/** Types of fields, in the notation of `/v3/schemas`. */
export type FieldType =
  | 'string'
  | 'int'
  | 'boolean'
  | 'date'
  | 'enum'
  | 'json'
  | `reference[${string}]`
  | `array[${string}]`
  | `map[${string}]`
  /** The name of another schema. */
  | 'launchConfig'
  | 'instanceHealthCheck'

export interface Field {
  readonly type: FieldType
  /** May be given when the resource is created. */
  readonly create?: boolean
  /** May be changed later. */
  readonly update?: boolean
  readonly required?: boolean
  readonly nullable?: boolean
  readonly minLength?: number
  readonly maxLength?: number
  readonly min?: number
  readonly max?: number
  readonly options?: readonly string[]
  /** What the value must look like; shown as `validChars` is not, because that has no way to say it. */
  readonly pattern?: RegExp
  readonly default?: unknown
}

export type Fields = Readonly<Record<string, Field>>

function isRecord(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

function checkString(name: string, field: Field, value: string): void {
  if (field.options !== undefined && !field.options.includes(value)) {
    throw apiErrors.InvalidOption({
      field: name,
      object: name,
      expected: `one of ${field.options.join(', ')}`,
    })
  }
  if (field.minLength !== undefined && value.length < field.minLength) {
    throw apiErrors.MinLengthExceeded({
      field: name,
      object: name,
      expected: `at least ${field.minLength} characters`,
    })
  }
  if (field.maxLength !== undefined && value.length > field.maxLength) {
    throw apiErrors.MaxLengthExceeded({
      field: name,
      object: name,
      expected: `at most ${field.maxLength} characters`,
    })
  }
  if (field.pattern !== undefined && !field.pattern.test(value)) {
    throw apiErrors.InvalidCharacters({
      field: name,
      object: name,
      expected: `text like ${field.pattern.source}`,
    })
  }
}

function checkInteger(name: string, field: Field, value: number): void {
  if (field.min !== undefined && value < field.min) {
    throw apiErrors.MinLimitExceeded({ field: name, object: name, expected: `at least ${field.min}` })
  }
  if (field.max !== undefined && value > field.max) {
    throw apiErrors.MaxLimitExceeded({ field: name, object: name, expected: `at most ${field.max}` })
  }
}

/** Whether a value is of a type; members of arrays and maps are checked, too. */
function fits(type: string, value: unknown): boolean {
  const member = /^(array|map)\[(.+)\]$/.exec(type)
  if (member !== null) {
    const [, container, inner = ''] = member
    if (container === 'array') return Array.isArray(value) && value.every(item => fits(inner, item))
    return isRecord(value) && Object.values(value).every(item => fits(inner, item))
  }
  switch (type) {
    case 'int':
      return Number.isSafeInteger(value)
    case 'boolean':
      return typeof value === 'boolean'
    case 'json':
      return true
    case 'launchConfig':
    case 'instanceHealthCheck':
      return isRecord(value)
    default:
      return typeof value === 'string'
  }
}

function checkValue(name: string, field: Field, value: unknown): void {
  if (!fits(field.type, value)) {
    throw apiErrors.InvalidFormat({ field: name, object: name, expected: `a value of type ${field.type}` })
  }
  if (typeof value === 'string') checkString(name, field, value)
  if (typeof value === 'number') checkInteger(name, field, value)
}

/**
 * Takes from `body` the fields that may be set, checked; the others are ignored, because clients send back whole
 * resources with all their read-only fields.
 *
 * @throws `InvalidBodyContent`, `MissingRequired`, `NotNullable`, `InvalidFormat`, …
 */
export function acceptFields(
  fields: Fields,
  body: unknown,
  operation: 'create' | 'update',
): Record<string, unknown> {
  if (!isRecord(body)) throw apiErrors.InvalidBodyContent()
  const accepted: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(fields)) {
    if (field[operation] !== true) continue
    const given = body[name]
    const value = given === undefined && operation === 'create' ? field.default : given
    if (value === undefined) {
      if (operation === 'create' && field.required) {
        throw apiErrors.MissingRequired({ field: name, object: name })
      }
    } else if (value === null) {
      if (field.required) throw apiErrors.NotNullable({ field: name, object: name })
    } else {
      checkValue(name, field, value)
      accepted[name] = value
    }
  }
  return accepted
}
