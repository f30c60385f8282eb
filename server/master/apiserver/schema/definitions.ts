/** The table's definitions as linked, frozen objects that decoding, patching and printing walk along. */

import { apiServerErrors } from '../errors.ts'
import type { JsonObject, JsonValue } from '../json.ts'
import type { KindTable, TableDefinition, TableField } from './table.ts'

export type SchemaType =
  | { readonly kind: 'string' }
  | { readonly kind: 'bytes' }
  | { readonly kind: 'integer'; readonly bits: 32 | 64 }
  | { readonly kind: 'number' }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'time' }
  | { readonly kind: 'micro-time' }
  | { readonly kind: 'quantity' }
  | { readonly kind: 'int-or-string' }
  /** Whatever the client sent, unread. */
  | { readonly kind: 'any' }
  /** Whatever the client sent; its maps are brought together member by member. */
  | { readonly kind: 'deduced' }
  | { readonly kind: 'list'; readonly items: SchemaType }
  | { readonly kind: 'map'; readonly values: SchemaType }
  | { readonly kind: 'object'; readonly schema: ObjectSchema }

export interface FieldSchema {
  readonly name: string
  readonly type: SchemaType
  readonly required: boolean
  readonly enum: ReadonlySet<string> | undefined
  readonly default: JsonValue | undefined
  /** For lists that a strategic merge patch merges by key. */
  readonly mergeKey: string | undefined
  /** `merge`, `replace`, `retainKeys`. */
  readonly patchStrategies: ReadonlySet<string>
  /** What the table says, for publishing it as OpenAPI again. */
  readonly source: TableField
}

export interface ObjectSchema {
  /** Without `io.k8s.`. */
  readonly name: string
  readonly fields: ReadonlyMap<string, FieldSchema>
  /** What fields are that `fields` does not name; undefined where there are no others. */
  readonly others?: FieldSchema
  /** Fields that an object without them is given or missed for. */
  readonly completed: readonly FieldSchema[]
  readonly source: TableDefinition
  /** The definition as OpenAPI, of schemas that come from no table; `name` is its whole name there. */
  readonly published?: JsonObject
}

/** The schema of a member; undefined for one that the definition does not have. */
export function fieldOf({ fields, others }: ObjectSchema, name: string): FieldSchema | undefined {
  return fields.get(name) ?? others
}

const SCALARS: Readonly<Record<string, SchemaType>> = {
  string: { kind: 'string' },
  'string:byte': { kind: 'bytes' },
  'integer:int32': { kind: 'integer', bits: 32 },
  'integer:int64': { kind: 'integer', bits: 64 },
  number: { kind: 'number' },
  boolean: { kind: 'boolean' },
  time: { kind: 'time' },
  'micro-time': { kind: 'micro-time' },
  quantity: { kind: 'quantity' },
  'int-or-string': { kind: 'int-or-string' },
  any: { kind: 'any' },
}

/** All definitions of one table. */
export class Schemas {
  readonly #byName = new Map<string, ObjectSchema>()
  readonly #byKind = new Map<string, ObjectSchema>()

  constructor(table: KindTable) {
    const fieldsOf = new Map<string, Map<string, FieldSchema>>()
    const completedOf = new Map<string, FieldSchema[]>()
    // All objects first, then their fields: definitions refer to each other, and some to themselves.
    for (const [name, source] of Object.entries(table.definitions)) {
      const fields = new Map<string, FieldSchema>()
      const completed: FieldSchema[] = []
      fieldsOf.set(name, fields)
      completedOf.set(name, completed)
      const schema = Object.freeze({ name, fields, completed, source })
      this.#byName.set(name, schema)
      for (const kind of source.kinds ?? []) this.#byKind.set(kind, schema)
    }
    for (const [name, source] of Object.entries(table.definitions)) {
      for (const [field, described] of Object.entries(source.fields)) {
        const schema = this.#field(field, described, source.required?.includes(field) === true)
        fieldsOf.get(name)?.set(field, schema)
        if (schema.required || schema.default !== undefined) completedOf.get(name)?.push(schema)
      }
    }
  }

  /** @throws `CorruptTable` when the table does not have it */
  byName(name: string): ObjectSchema {
    const schema = this.#byName.get(name)
    if (schema === undefined) throw apiServerErrors.CorruptTable({ object: `definition ${name}` })
    return schema
  }

  /** The definition of a whole object. @throws `CorruptTable` when the table does not have it */
  byKind(group: string, version: string, kind: string): ObjectSchema {
    const schema = this.#byKind.get(`${group}/${version}/${kind}`)
    if (schema === undefined)
      throw apiServerErrors.CorruptTable({ object: `kind ${group}/${version}/${kind}` })
    return schema
  }

  /** The definition of a whole object that a client names; undefined when there is none. */
  findKind(apiVersion: string, kind: string): ObjectSchema | undefined {
    const [version, group = ''] = apiVersion.split('/').toReversed()
    const found = this.#byKind.get(`${group}/${version}/${kind}`)
    // Clients name the options of a request with the group of the object that they are for.
    return found ?? (kind === 'DeleteOptions' ? this.#byKind.get('/v1/DeleteOptions') : undefined)
  }

  #field(name: string, source: TableField, required: boolean): FieldSchema {
    const details = typeof source === 'string' ? { type: source } : source
    return Object.freeze({
      name,
      type: this.#type(details.type),
      required,
      enum: details.enum === undefined ? undefined : new Set(details.enum),
      default: details.default as JsonValue | undefined,
      mergeKey: details.mergeKey,
      patchStrategies: new Set(details.patch?.split(',') ?? []),
      source,
    })
  }

  #type(text: string): SchemaType {
    const scalar = SCALARS[text]
    if (scalar !== undefined) return scalar
    if (text.startsWith('[]')) return Object.freeze({ kind: 'list', items: this.#type(text.slice(2)) })
    if (text.startsWith('{}')) return Object.freeze({ kind: 'map', values: this.#type(text.slice(2)) })
    if (text.startsWith('#')) return Object.freeze({ kind: 'object', schema: this.byName(text.slice(1)) })
    throw apiServerErrors.CorruptTable({ object: `type ${text}` })
  }
}
