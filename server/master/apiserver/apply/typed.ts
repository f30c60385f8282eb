/** Objects along their definitions: which fields they have, and where two of them differ. */
import { equalJson, type Frozen, isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import type { FieldSchema, ObjectSchema, SchemaType } from '../schema/index.ts'
import { addChild, emptySet, type FieldSet, leaf, union } from './field-set.ts'

/** What becomes of a value when two objects are brought together. */
export type Topology =
  | { readonly kind: 'atomic' }
  | { readonly kind: 'object'; readonly schema: ObjectSchema }
  | { readonly kind: 'map'; readonly values: SchemaType }
  /** A list whose items are told apart by some of their fields. */
  | { readonly kind: 'keyed'; readonly keys: readonly string[]; readonly items: ObjectSchema }
  /** A list without order of values that occur once. */
  | { readonly kind: 'set' }

const ATOMIC: Topology = { kind: 'atomic' }

function details(field: FieldSchema | undefined) {
  return field === undefined || typeof field.source === 'string' ? undefined : field.source
}

/** @param field the field that has the type; undefined for values of maps */
export function topologyOf(type: SchemaType, field: FieldSchema | undefined): Topology {
  const source = details(field)
  switch (type.kind) {
    case 'object':
      if (source?.map === 'atomic' || type.schema.source.map === 'atomic') return ATOMIC
      return { kind: 'object', schema: type.schema }
    case 'map':
      return source?.map === 'atomic' ? ATOMIC : { kind: 'map', values: type.values }
    case 'list':
      if (source?.list === 'set') return { kind: 'set' }
      if (source?.list === 'map' && source.keys !== undefined && type.items.kind === 'object') {
        return { kind: 'keyed', keys: source.keys, items: type.items.schema }
      }
      return ATOMIC
    default:
      return ATOMIC
  }
}

/** The step to an item of a list with keys; undefined for something that is no such item. */
export function keyStep(item: JsonValue, keys: readonly string[], schema: ObjectSchema): string | undefined {
  if (!isJsonObject(item)) return undefined
  const key: JsonObject = {}
  for (const name of keys.toSorted()) {
    const value = item[name] ?? schema.fields.get(name)?.default
    // Optional keys without a default are not part of the key.
    if (value !== undefined) key[name] = value as JsonValue
  }
  return `k:${JSON.stringify(key)}`
}

export function valueStep(value: JsonValue): string {
  return `v:${JSON.stringify(value)}`
}

/** The parts of a value by step, with the topology of each; undefined when it has none. */
export function partsOf(
  value: Frozen<JsonValue> | undefined,
  topology: Topology,
): Map<string, { readonly value: JsonValue; readonly topology: Topology }> | undefined {
  const parts = new Map<string, { value: JsonValue; topology: Topology }>()
  switch (topology.kind) {
    case 'object':
      if (!isJsonObject(value as JsonValue)) return undefined
      for (const [name, item] of Object.entries(value as JsonObject)) {
        const field = topology.schema.fields.get(name)
        if (field !== undefined && item !== undefined) {
          parts.set(`f:${name}`, { value: item as JsonValue, topology: topologyOf(field.type, field) })
        }
      }
      return parts
    case 'map':
      if (!isJsonObject(value as JsonValue)) return undefined
      for (const [name, item] of Object.entries(value as JsonObject)) {
        parts.set(`f:${name}`, { value: item as JsonValue, topology: topologyOf(topology.values, undefined) })
      }
      return parts
    case 'keyed':
      if (!Array.isArray(value)) return undefined
      for (const item of value as JsonValue[]) {
        const step = keyStep(item, topology.keys, topology.items)
        if (step !== undefined)
          parts.set(step, { value: item, topology: { kind: 'object', schema: topology.items } })
      }
      return parts
    case 'set':
      if (!Array.isArray(value)) return undefined
      for (const item of value as JsonValue[]) parts.set(valueStep(item), { value: item, topology: ATOMIC })
      return parts
    case 'atomic':
      return undefined
  }
}

function isItem(step: string): boolean {
  return !step.startsWith('f:')
}

/** All fields of a value. */
export function fieldsOf(value: JsonValue, topology: Topology): FieldSet {
  const parts = partsOf(value, topology)
  // An empty map or list is something that somebody may want.
  if (parts === undefined || parts.size === 0) return leaf()
  const set = emptySet()
  for (const [step, part] of parts) {
    const child = fieldsOf(part.value, part.topology)
    if (isItem(step)) child.member = true
    addChild(set, step, child)
  }
  return set
}

export interface Comparison {
  /** Fields whose value is another one, or that are new. */
  readonly changed: FieldSet
  /** Fields that are no more. */
  readonly removed: FieldSet
}

function compareParts(
  before: JsonValue | undefined,
  after: JsonValue | undefined,
  topology: Topology,
): { changed: FieldSet; removed: FieldSet } {
  if (after === undefined) {
    return { changed: emptySet(), removed: before === undefined ? emptySet() : whole(before, topology) }
  }
  if (before === undefined) return { changed: whole(after, topology), removed: emptySet() }
  const old = partsOf(before, topology)
  const next = partsOf(after, topology)
  if (old === undefined || next === undefined) {
    return { changed: equalJson(before, after) ? emptySet() : leaf(), removed: emptySet() }
  }
  const changed = emptySet()
  const removed = emptySet()
  for (const step of new Set([...old.keys(), ...next.keys()])) {
    const part = next.get(step) ?? old.get(step)
    if (part === undefined) continue
    const result = compareParts(old.get(step)?.value, next.get(step)?.value, part.topology)
    addChild(changed, step, result.changed)
    addChild(removed, step, result.removed)
  }
  return { changed, removed }
}

/** Everything in a value that came or went as a whole, the place itself too. */
function whole(value: JsonValue, topology: Topology): FieldSet {
  const set = fieldsOf(value, topology)
  set.member = true
  return set
}

/** Where two versions of an object differ. */
export function compareObjects(
  before: Frozen<JsonObject> | undefined,
  after: JsonObject,
  schema: ObjectSchema,
): Comparison {
  return compareParts((before ?? {}) as JsonObject, after, { kind: 'object', schema })
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
  const result = union(set, emptySet())
  result.member = false
  result.children.delete('f:apiVersion')
  result.children.delete('f:kind')
  const metadata = result.children.get('f:metadata')
  if (metadata === undefined) return result
  metadata.member = false
  for (const field of SYSTEM_METADATA) metadata.children.delete(`f:${field}`)
  if (metadata.children.size === 0) result.children.delete('f:metadata')
  return result
}
