/**
 * Sets of fields, as `metadata.managedFields` keeps them (`FieldsV1`, sigs.k8s.io/structured-merge-diff).
 *
 * A step of a path is `f:name` for a field or key of a map, `k:{"name":"web"}` for an item of a list with keys,
 * `v:"text"` for a member of a set.
 */
import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'

/** Not changed once it is made: sets share parts. */
export interface FieldSet {
  /** The place itself belongs to the set, not only something below it. */
  readonly member: boolean
  readonly children: ReadonlyMap<string, FieldSet>
}

/** Steps of one path; the deepest objects of Kubernetes have a third of that. */
const DEEPEST = 64

const NO_CHILDREN: ReadonlyMap<string, FieldSet> = new Map()

export const EMPTY: FieldSet = Object.freeze({ member: false, children: NO_CHILDREN })
/** One place, and nothing below it. */
export const LEAF: FieldSet = Object.freeze({ member: true, children: NO_CHILDREN })

export function isEmptySet({ member, children }: FieldSet): boolean {
  return !member && children.size === 0
}

export function union(one: FieldSet, other: FieldSet): FieldSet {
  if (isEmptySet(one) || one === other) return other
  if (isEmptySet(other)) return one
  const children = new Map(one.children)
  for (const [step, child] of other.children) {
    const present = children.get(step)
    children.set(step, present === undefined ? child : union(present, child))
  }
  return { member: one.member || other.member, children }
}

export function intersection(one: FieldSet, other: FieldSet): FieldSet {
  if (isEmptySet(one) || isEmptySet(other)) return EMPTY
  const children = new Map<string, FieldSet>()
  for (const [step, child] of one.children) {
    const both = intersection(child, other.children.get(step) ?? EMPTY)
    if (!isEmptySet(both)) children.set(step, both)
  }
  return { member: one.member && other.member, children }
}

export function difference(one: FieldSet, other: FieldSet): FieldSet {
  if (isEmptySet(one) || isEmptySet(other)) return one
  const children = new Map<string, FieldSet>()
  for (const [step, child] of one.children) {
    const rest = difference(child, other.children.get(step) ?? EMPTY)
    if (!isEmptySet(rest)) children.set(step, rest)
  }
  return { member: one.member && !other.member, children }
}

export function equalSets(one: FieldSet, other: FieldSet): boolean {
  if (one === other) return true
  if (one.member !== other.member || one.children.size !== other.children.size) return false
  for (const [step, child] of one.children) {
    const same = other.children.get(step)
    if (same === undefined || !equalSets(child, same)) return false
  }
  return true
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
  if (!isJsonObject(fields) || depth > DEEPEST) return EMPTY
  const entries = Object.entries(fields)
  const children = new Map<string, FieldSet>()
  for (const [step, value] of entries) {
    const child = step === '.' ? EMPTY : fromFields(value as JsonValue, depth + 1)
    if (!isEmptySet(child)) children.set(step, child)
  }
  return { member: depth > 0 && (entries.length === 0 || Object.hasOwn(fields, '.')), children }
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
