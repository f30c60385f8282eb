/** Objects along their definitions: which fields they have, and where two of them differ. */
import { equalJson, type Frozen, isJsonObject, type JsonObject, type JsonValue, memberOf } from '../json.ts'
import { type FieldSchema, fieldOf, type ObjectSchema, type SchemaType } from '../schema/index.ts'
import { EMPTY, type FieldSet, isEmptySet, LEAF } from './field-set.ts'

export interface ObjectTopology {
  readonly kind: 'object'
  readonly schema: ObjectSchema
}

/** What becomes of a value when two objects are brought together. */
export type Topology =
  | { readonly kind: 'atomic' }
  | ObjectTopology
  | { readonly kind: 'map'; readonly values: Topology }
  /** A list whose items are told apart by some of their fields. */
  | { readonly kind: 'keyed'; readonly keys: readonly string[]; readonly items: ObjectTopology }
  /** A list without order of values that occur once. */
  | { readonly kind: 'set' }

const ATOMIC: Topology = { kind: 'atomic' }
/** Maps of maps, as deep as they go; what is no map is one whole. */
const DEDUCED: { readonly kind: 'map'; values: Topology } = { kind: 'map', values: ATOMIC }
DEDUCED.values = DEDUCED

function details(field: FieldSchema | undefined) {
  return field === undefined || typeof field.source === 'string' ? undefined : field.source
}

const KNOWN = new WeakMap<FieldSchema, Topology>()

/** How the value of a field is brought together with another. */
export function topologyOfField(field: FieldSchema): Topology {
  let known = KNOWN.get(field)
  if (known === undefined) {
    known = topologyOf(field.type, field)
    KNOWN.set(field, known)
  }
  return known
}

/** @param field the field that has the type; undefined for values of maps */
export function topologyOf(type: SchemaType, field: FieldSchema | undefined): Topology {
  const source = details(field)
  switch (type.kind) {
    case 'object':
      if (source?.map === 'atomic' || type.schema.source.map === 'atomic') return ATOMIC
      return { kind: 'object', schema: type.schema }
    case 'map':
      if (source?.map === 'atomic') return ATOMIC
      return { kind: 'map', values: topologyOf(type.values, undefined) }
    case 'list':
      if (source?.list === 'set') return { kind: 'set' }
      if (source?.list === 'map' && source.keys !== undefined && type.items.kind === 'object') {
        const { schema } = type.items
        return { kind: 'keyed', keys: source.keys.toSorted(), items: { kind: 'object', schema } }
      }
      return ATOMIC
    case 'deduced':
      return DEDUCED
    default:
      return ATOMIC
  }
}

/** The step to an item of a list with keys; undefined for something that is no such item. */
export function keyStep(
  item: JsonValue,
  keys: readonly string[],
  { schema }: ObjectTopology,
): string | undefined {
  if (!isJsonObject(item)) return undefined
  const key: JsonObject = {}
  for (const name of keys) {
    const value = memberOf(item, name) ?? schema.fields.get(name)?.default
    // Optional keys without a default are not part of the key.
    if (value !== undefined) key[name] = value as JsonValue
  }
  return `k:${JSON.stringify(key)}`
}

export function valueStep(value: JsonValue): string {
  return `v:${JSON.stringify(value)}`
}

/** Calls `take` for every part of a value. @returns false for a value that has none: it is one whole */
function eachPart(
  value: Frozen<JsonValue> | undefined,
  topology: Topology,
  take: (step: string, part: JsonValue, topology: Topology) => void,
): boolean {
  switch (topology.kind) {
    case 'object':
      if (!isJsonObject(value as JsonValue)) return false
      for (const name in value as JsonObject) {
        const field = fieldOf(topology.schema, name)
        const part = (value as JsonObject)[name]
        if (field !== undefined && part !== undefined) take(`f:${name}`, part, topologyOfField(field))
      }
      return true
    case 'map':
      if (!isJsonObject(value as JsonValue)) return false
      for (const [name, part] of Object.entries(value as JsonObject))
        take(`f:${name}`, part as JsonValue, topology.values)
      return true
    case 'keyed':
      if (!Array.isArray(value)) return false
      for (const item of value as JsonValue[]) {
        const step = keyStep(item, topology.keys, topology.items)
        if (step !== undefined) take(step, item, topology.items)
      }
      return true
    case 'set':
      if (!Array.isArray(value)) return false
      for (const item of value as JsonValue[]) take(valueStep(item), item, ATOMIC)
      return true
    case 'atomic':
      return false
  }
}

/** All fields of a value. @param member whether the value itself is one of them */
function collect(value: Frozen<JsonValue>, topology: Topology, member: boolean): FieldSet {
  if (topology.kind === 'atomic') return LEAF
  const children = new Map<string, FieldSet>()
  const isItems = topology.kind === 'keyed' || topology.kind === 'set'
  eachPart(value, topology, (step, part, inner) => children.set(step, collect(part, inner, isItems)))
  // An empty map or list is something that somebody may want.
  return children.size === 0 ? LEAF : { member, children }
}

/** All fields of an object. */
export function fieldsOf(object: Frozen<JsonObject>, schema: ObjectSchema): FieldSet {
  return collect(object, { kind: 'object', schema }, false)
}

export interface Comparison {
  /** Fields whose value is another one, or that are new. */
  readonly changed: FieldSet
  /** Fields that are no more. */
  readonly removed: FieldSet
}

const SAME: Comparison = { changed: EMPTY, removed: EMPTY }

function compareParts(
  before: Frozen<JsonValue> | undefined,
  after: Frozen<JsonValue> | undefined,
  topology: Topology,
): Comparison {
  if (before === after) return SAME
  // What came or went did so as a whole, the place itself too.
  if (after === undefined)
    return { changed: EMPTY, removed: before === undefined ? EMPTY : collect(before, topology, true) }
  if (before === undefined) return { changed: collect(after, topology, true), removed: EMPTY }
  const old = new Map<string, JsonValue>()
  const next = new Map<string, { readonly part: JsonValue; readonly inner: Topology }>()
  const divided =
    eachPart(before, topology, (step, part) => old.set(step, part)) &&
    eachPart(after, topology, (step, part, inner) => next.set(step, { part, inner }))
  if (!divided) {
    const same = equalJson(before as JsonValue, after as JsonValue)
    return same ? SAME : { changed: LEAF, removed: EMPTY }
  }
  const changed = new Map<string, FieldSet>()
  const removed = new Map<string, FieldSet>()
  for (const [step, { part, inner }] of next) {
    const result = compareParts(old.get(step), part, inner)
    if (!isEmptySet(result.changed)) changed.set(step, result.changed)
    if (!isEmptySet(result.removed)) removed.set(step, result.removed)
  }
  eachPart(before, topology, (step, part, inner) => {
    if (!next.has(step)) removed.set(step, collect(part, inner, true))
  })
  return {
    changed: changed.size === 0 ? EMPTY : { member: false, children: changed },
    removed: removed.size === 0 ? EMPTY : { member: false, children: removed },
  }
}

/** Where two versions of an object differ. */
export function compareObjects(
  before: Frozen<JsonObject> | undefined,
  after: JsonObject,
  schema: ObjectSchema,
): Comparison {
  return compareParts(before ?? {}, after, { kind: 'object', schema })
}

/** Fields of the server's own, which nobody manages. */
const SYSTEM_METADATA = [
  'creationTimestamp',
  'deletionGracePeriodSeconds',
  'deletionTimestamp',
  'generation',
  'managedFields',
  'name',
  'namespace',
  'resourceVersion',
  'selfLink',
  'uid',
]

/** Takes out of a set what nobody manages. */
export function withoutSystemFields(set: FieldSet): FieldSet {
  const children = new Map(set.children)
  children.delete('f:apiVersion')
  children.delete('f:kind')
  const metadata = new Map(set.children.get('f:metadata')?.children)
  for (const field of SYSTEM_METADATA) metadata.delete(`f:${field}`)
  if (metadata.size === 0) children.delete('f:metadata')
  else children.set('f:metadata', { member: false, children: metadata })
  return { member: false, children }
}
