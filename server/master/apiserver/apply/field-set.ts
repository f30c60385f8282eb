/**
 * Sets of fields, as `metadata.managedFields` keeps them (`FieldsV1`, sigs.k8s.io/structured-merge-diff).
 *
 * A step of a path is `f:name` for a field or key of a map, `k:{"name":"web"}` for an item of a list with keys,
 * `v:"text"` for a member of a set.
 */
import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'

export interface FieldSet {
  /** The place itself belongs to the set, not only something below it. */
  member: boolean
  readonly children: Map<string, FieldSet>
}

/** Steps of one path; the deepest objects of Kubernetes have a third of that. */
const DEEPEST = 64

export function emptySet(): FieldSet {
  return { member: false, children: new Map() }
}

export function isEmptySet({ member, children }: FieldSet): boolean {
  return !member && children.size === 0
}

/** Adds a child unless it is empty. */
export function addChild(set: FieldSet, step: string, child: FieldSet): void {
  if (!isEmptySet(child)) set.children.set(step, child)
}

export function leaf(): FieldSet {
  return { member: true, children: new Map() }
}

function combine(
  one: FieldSet | undefined,
  other: FieldSet | undefined,
  keep: (inOne: boolean, inOther: boolean) => boolean,
): FieldSet {
  const result = emptySet()
  result.member = keep(one?.member === true, other?.member === true)
  for (const step of new Set([...(one?.children.keys() ?? []), ...(other?.children.keys() ?? [])])) {
    addChild(result, step, combine(one?.children.get(step), other?.children.get(step), keep))
  }
  return result
}

export function union(one: FieldSet, other: FieldSet): FieldSet {
  return combine(one, other, (a, b) => a || b)
}

export function intersection(one: FieldSet, other: FieldSet): FieldSet {
  return combine(one, other, (a, b) => a && b)
}

export function difference(one: FieldSet, other: FieldSet): FieldSet {
  return combine(one, other, (a, b) => a && !b)
}

export function equalSets(one: FieldSet, other: FieldSet): boolean {
  return isEmptySet(combine(one, other, (a, b) => a !== b))
}

/** `FieldsV1` */
export function toFields(set: FieldSet): JsonObject {
  const fields: JsonObject = {}
  if (set.member && set.children.size > 0) fields['.'] = {}
  for (const [step, child] of [...set.children].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    fields[step] = toFields(child)
  }
  return fields
}

/** Reads `FieldsV1`; what is not of its form is left out. */
export function fromFields(fields: JsonValue | undefined, depth = 0): FieldSet {
  const set = emptySet()
  if (!isJsonObject(fields) || depth > DEEPEST) return set
  const entries = Object.entries(fields)
  set.member = depth > 0 && (entries.length === 0 || Object.hasOwn(fields, '.'))
  for (const [step, child] of entries) {
    if (step !== '.') addChild(set, step, fromFields(child as JsonValue, depth + 1))
  }
  return set
}

function pathStep(step: string): string {
  const kind = step.slice(0, 2)
  const rest = step.slice(2)
  if (kind === 'f:') return `.${rest}`
  if (kind === 'v:') return `[=${rest}]`
  const key = JSON.parse(rest) as JsonObject
  return `[${Object.entries(key)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(',')}]`
}

/** Every member as a path for people: `.spec.containers[name="web"].image`. */
export function paths(set: FieldSet, before = ''): string[] {
  const below = [...set.children].flatMap(([step, child]) => paths(child, `${before}${pathStep(step)}`))
  return set.member && before !== '' ? [before, ...below] : below
}
