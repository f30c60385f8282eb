/** Brings what somebody applies together with what is there. */
import { cloneJson, isJsonObject, type JsonObject, type JsonValue, memberOf, setMember } from '../json.ts'
import { fieldOf, type ObjectSchema } from '../schema/index.ts'
import type { FieldSet } from './field-set.ts'
import { keyStep, type Topology, topologyOfField, valueStep } from './typed.ts'

function mergeObject(live: JsonObject, applied: JsonObject, schema: ObjectSchema): JsonObject {
  const merged: JsonObject = { ...live }
  for (const [name, value] of Object.entries(applied)) {
    const field = fieldOf(schema, name)
    const topology: Topology = field === undefined ? { kind: 'atomic' } : topologyOfField(field)
    setMember(merged, name, mergeValue(memberOf(live, name), value as JsonValue, topology))
  }
  return merged
}

function mergeKeyed(
  live: readonly JsonValue[],
  applied: readonly JsonValue[],
  { keys, items }: Extract<Topology, { kind: 'keyed' }>,
): JsonValue[] {
  const wanted = new Map(applied.map(item => [keyStep(item, keys, items), item]))
  const merged = live.map(item => {
    const step = keyStep(item, keys, items)
    const change = wanted.get(step)
    wanted.delete(step)
    return change === undefined ? item : mergeValue(item, change, items)
  })
  return [...merged, ...wanted.values()]
}

function mergeValue(live: JsonValue | undefined, applied: JsonValue, topology: Topology): JsonValue {
  switch (topology.kind) {
    case 'object':
      return isJsonObject(live) && isJsonObject(applied)
        ? mergeObject(live, applied, topology.schema)
        : cloneJson(applied)
    case 'map': {
      if (!isJsonObject(live) || !isJsonObject(applied)) return cloneJson(applied)
      const merged: JsonObject = { ...live }
      for (const [name, value] of Object.entries(applied)) {
        setMember(merged, name, mergeValue(memberOf(live, name), value as JsonValue, topology.values))
      }
      return merged
    }
    case 'keyed':
      return Array.isArray(live) && Array.isArray(applied)
        ? mergeKeyed(live as JsonValue[], applied as JsonValue[], topology)
        : cloneJson(applied)
    case 'set': {
      if (!Array.isArray(live) || !Array.isArray(applied)) return cloneJson(applied)
      const present = new Set((live as JsonValue[]).map(valueStep))
      return [
        ...(live as JsonValue[]),
        ...(applied as JsonValue[]).filter(item => !present.has(valueStep(item))),
      ]
    }
    case 'atomic':
      return cloneJson(applied)
  }
}

/** Lays an applied object over the one that is there. Neither is changed. */
export function mergeApplied(live: JsonObject, applied: JsonObject, schema: ObjectSchema): JsonObject {
  return mergeObject(cloneJson(live) as JsonObject, applied, schema)
}

/** Whether anything at or below a place is in a set. */
function anything(set: FieldSet | undefined): boolean {
  return set !== undefined && (set.member || set.children.size > 0)
}

function removeFrom(value: JsonValue, topology: Topology, gone: FieldSet, kept: FieldSet | undefined): void {
  for (const [step, child] of gone.children) {
    const others = kept?.children.get(step)
    const at = locate(value, topology, step)
    if (at === undefined) continue
    if (child.member && !anything(others)) at.remove()
    else removeFrom(at.value, at.topology, child, others)
  }
}

function locate(value: JsonValue, topology: Topology, step: string) {
  if (topology.kind === 'keyed' || topology.kind === 'set') {
    if (!Array.isArray(value)) return undefined
    const list = value as JsonValue[]
    const index = list.findIndex(
      item =>
        (topology.kind === 'set' ? valueStep(item) : keyStep(item, topology.keys, topology.items)) === step,
    )
    const item = list[index]
    if (item === undefined) return undefined
    const inner: Topology = topology.kind === 'keyed' ? topology.items : { kind: 'atomic' }
    return { value: item, topology: inner, remove: () => list.splice(list.indexOf(item), 1) }
  }
  if (!isJsonObject(value) || topology.kind === 'atomic') return undefined
  const object = value
  const name = step.slice(2)
  const item = Object.hasOwn(object, name) ? object[name] : undefined
  if (item === undefined) return undefined
  const field = topology.kind === 'object' ? fieldOf(topology.schema, name) : undefined
  const inner: Topology =
    topology.kind === 'map'
      ? topology.values
      : field === undefined
        ? { kind: 'atomic' }
        : topologyOfField(field)
  return { value: item as JsonValue, topology: inner, remove: () => delete object[name] }
}

/**
 * Takes out of an object, which it changes, what its applier no longer wants and nobody else has.
 *
 * @param gone what the applier had and does not name any more
 * @param kept what others have, and what the applier names
 */
export function prune(object: JsonObject, schema: ObjectSchema, gone: FieldSet, kept: FieldSet): void {
  removeFrom(object, { kind: 'object', schema }, gone, kept)
}
