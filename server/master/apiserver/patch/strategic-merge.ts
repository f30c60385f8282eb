/**
 * Strategic merge patch: a merge patch that knows which lists are sets and which are maps.
 *
 * Source: Kubernetes "Strategic Merge Patch" (sig-api-machinery/strategic-merge-patch.md) and
 * "Update API Objects in Place Using kubectl patch". The table's merge keys and patch strategies drive it.
 */
import { cloneJson, isJsonObject, type JsonObject, type JsonValue, memberOf, setMember } from '../json.ts'
import type { FieldSchema, ObjectSchema, SchemaType } from '../schema/index.ts'
import { badRequest } from '../status.ts'
import { checkDepth } from './limits.ts'

const DIRECTIVE = '$patch'
const RETAIN_KEYS = '$retainKeys'
const DELETE_FROM_PRIMITIVE_LIST = '$deleteFromPrimitiveList/'
const SET_ELEMENT_ORDER = '$setElementOrder/'

type Directive = 'replace' | 'delete' | 'merge' | undefined

function directiveOf(patch: JsonObject): Directive {
  const directive = memberOf(patch, DIRECTIVE)
  if (directive === undefined) return undefined
  if (directive === 'replace' || directive === 'delete' || directive === 'merge') return directive
  throw badRequest(`unknown patch directive ${JSON.stringify(directive)}; one of replace, delete, merge`)
}

function listOf(value: JsonValue, field: string): JsonValue[] {
  if (!Array.isArray(value)) throw badRequest(`the patch of ${field} must be a list`)
  return value
}

/** A copy of what a patch adds, without directives. */
function stripDirectives(value: JsonValue, depth: number): JsonValue {
  checkDepth(depth)
  if (Array.isArray(value)) {
    return value
      .filter(item => !isJsonObject(item) || memberOf(item, DIRECTIVE) !== 'delete')
      .filter(item => !isJsonObject(item) || Object.keys(item).some(key => key !== DIRECTIVE))
      .map(item => stripDirectives(item, depth + 1))
  }
  if (!isJsonObject(value)) return value
  const result: JsonObject = {}
  for (const key of Object.keys(value)) {
    if (key === DIRECTIVE || key === RETAIN_KEYS) continue
    if (key.startsWith(SET_ELEMENT_ORDER) || key.startsWith(DELETE_FROM_PRIMITIVE_LIST)) continue
    const member = memberOf(value, key) ?? null
    if (member !== null) setMember(result, key, stripDirectives(member, depth + 1))
  }
  return result
}

function retainKeys(target: JsonObject, patch: JsonObject): void {
  const kept = memberOf(patch, RETAIN_KEYS)
  if (kept === undefined) return
  const names = new Set(listOf(kept, RETAIN_KEYS))
  for (const key of Object.keys(patch)) {
    if (key !== RETAIN_KEYS && !key.startsWith('$') && memberOf(patch, key) !== null && !names.has(key)) {
      throw badRequest(`the patch sets ${key}, which its ${RETAIN_KEYS} does not list`)
    }
  }
  for (const key of Object.keys(target)) if (!names.has(key)) delete target[key]
}

function mergeMap(target: JsonObject, patch: JsonObject, values: SchemaType, depth: number): JsonObject {
  for (const key of Object.keys(patch)) {
    if (key === DIRECTIVE || key === RETAIN_KEYS) continue
    const change = memberOf(patch, key) ?? null
    if (change === null) delete target[key]
    else setMember(target, key, mergeValue(memberOf(target, key), change, values, undefined, depth + 1))
  }
  return target
}

function mergeObject(target: JsonObject, patch: JsonObject, schema: ObjectSchema, depth: number): JsonObject {
  for (const key of Object.keys(patch)) {
    if (key === DIRECTIVE || key === RETAIN_KEYS || key.startsWith(SET_ELEMENT_ORDER)) continue
    const change = memberOf(patch, key) ?? null
    if (key.startsWith(DELETE_FROM_PRIMITIVE_LIST)) {
      deletePrimitives(target, key.slice(DELETE_FROM_PRIMITIVE_LIST.length), listOf(change, key))
    } else if (change === null) delete target[key]
    else {
      const field = schema.fields.get(key)
      const merged =
        field === undefined
          ? stripDirectives(change, depth + 1)
          : mergeValue(memberOf(target, key), change, field.type, field, depth + 1)
      setMember(target, key, merged)
    }
  }
  for (const key of Object.keys(patch)) {
    if (!key.startsWith(SET_ELEMENT_ORDER)) continue
    const name = key.slice(SET_ELEMENT_ORDER.length)
    const list = memberOf(target, name)
    if (Array.isArray(list)) {
      setMember(
        target,
        name,
        reorder(list, listOf(memberOf(patch, key) ?? null, key), schema.fields.get(name)),
      )
    }
  }
  return target
}

/** Merges one value. `field` is known for members of objects, not for values of maps. */
function mergeValue(
  target: JsonValue | undefined,
  patch: JsonValue,
  type: SchemaType,
  field: FieldSchema | undefined,
  depth: number,
): JsonValue {
  checkDepth(depth)
  if (Array.isArray(patch)) {
    const merges = field?.patchStrategies.has('merge') === true && type.kind === 'list'
    if (!merges) return stripDirectives(patch, depth)
    return mergeList(Array.isArray(target) ? target : [], patch, type.items, field, depth)
  }
  if (!isJsonObject(patch)) return patch
  const directive = directiveOf(patch)
  if (directive === 'delete') return {}
  const base = directive === 'replace' || !isJsonObject(target) ? {} : target
  retainKeys(base, patch)
  if (type.kind === 'object') return mergeObject(base, patch, type.schema, depth)
  if (type.kind === 'map') return mergeMap(base, patch, type.values, depth)
  return stripDirectives(patch, depth)
}

/** What tells elements of a list apart, as text: looking for each in a long list would be quadratic. */
function identityOf(item: JsonValue, mergeKey: string | undefined): string {
  const identity = mergeKey !== undefined && isJsonObject(item) ? (memberOf(item, mergeKey) ?? item) : item
  return JSON.stringify(identity)
}

function deletePrimitives(target: JsonObject, name: string, values: readonly JsonValue[]): void {
  const list = memberOf(target, name)
  if (!Array.isArray(list)) return
  const deleted = new Set(values.map(value => identityOf(value, undefined)))
  const kept = list.filter(item => !deleted.has(identityOf(item, undefined)))
  setMember(target, name, kept)
}

function mergeList(
  target: JsonValue[],
  patch: readonly JsonValue[],
  items: SchemaType,
  field: FieldSchema,
  depth: number,
): JsonValue[] {
  const mergeKey = field.mergeKey
  if (items.kind !== 'object' || mergeKey === undefined) {
    const present = new Set(target.map(item => identityOf(item, undefined)))
    const added = patch.filter(item => !present.has(identityOf(item, undefined)))
    return [...target, ...added.map(item => cloneJson(item))]
  }
  if (patch.some(item => isJsonObject(item) && memberOf(item, DIRECTIVE) === 'replace')) {
    return stripDirectives([...patch], depth) as JsonValue[]
  }
  const elements = new Map<string, JsonValue>()
  // Lists that are maps by several keys (ports: port and protocol) may hold one merge key more than once; a patch means
  // the first of them.
  for (const [index, item] of target.entries()) {
    const identity = identityOf(item, mergeKey)
    elements.set(elements.has(identity) ? `${identity} ${index}` : identity, item)
  }
  for (const item of patch) mergeElement(elements, item, mergeKey, items.schema, field, depth)
  return [...elements.values()]
}

function mergeElement(
  elements: Map<string, JsonValue>,
  patch: JsonValue,
  mergeKey: string,
  schema: ObjectSchema,
  field: FieldSchema,
  depth: number,
): void {
  if (!isJsonObject(patch)) throw badRequest(`elements of the patch of ${field.name} must be objects`)
  if (memberOf(patch, mergeKey) === undefined) {
    throw badRequest(
      `map: ${field.name}: an element of the patch does not contain declared merge key: ${mergeKey}`,
    )
  }
  const identity = identityOf(patch, mergeKey)
  if (directiveOf(patch) === 'delete') {
    elements.delete(identity)
    return
  }
  const present = elements.get(identity)
  const base: JsonObject = isJsonObject(present) ? present : {}
  retainKeys(base, patch)
  elements.set(identity, mergeObject(base, patch, schema, depth + 1))
}

/**
 * Puts a list into the order that the client wants. Elements that the client does not know of keep their place
 * relative to the element before them.
 */
function reorder(
  list: JsonValue[],
  order: readonly JsonValue[],
  field: FieldSchema | undefined,
): JsonValue[] {
  const identity = (item: JsonValue) => identityOf(item, field?.mergeKey)
  const rank = new Map(order.map((item, index) => [identity(item), index]))
  const known = list.filter(item => rank.has(identity(item)))
  known.sort((a, b) => (rank.get(identity(a)) ?? 0) - (rank.get(identity(b)) ?? 0))
  const result: JsonValue[] = []
  let next = 0
  for (const item of list) {
    if (rank.has(identity(item))) {
      const replacement = known[next]
      next += 1
      if (replacement !== undefined) result.push(replacement)
    } else result.push(item)
  }
  return result
}

/**
 * Applies `patch` to an object of the kind of `schema`, changing it.
 *
 * @throws `BadRequest` when the patch has no such form: wrong directive, element without its merge key, too deep
 */
export function applyStrategicMergePatch(
  target: JsonObject,
  patch: JsonValue,
  schema: ObjectSchema,
): JsonObject {
  if (!isJsonObject(patch)) throw badRequest('a strategic merge patch must be an object')
  const merged = mergeValue(target, patch, { kind: 'object', schema }, undefined, 0)
  return isJsonObject(merged) ? merged : {}
}
