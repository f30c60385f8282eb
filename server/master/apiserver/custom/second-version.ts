/**
 * Published schemas of custom resources as OpenAPI v2, which says less: what clients that check by it would take for a
 * prohibition is left out (`k8s.io/apiextensions-apiserver/pkg/controller/openapi/v2`).
 */
import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'

/** Keywords that OpenAPI v2 does not have. */
const ONLY_V3 = new Set(['allOf', 'anyOf', 'oneOf', 'not', 'nullable', 'default', 'x-kubernetes-validations'])

const PRESERVES = 'x-kubernetes-preserve-unknown-fields'
const KINDS = 'x-kubernetes-group-version-kind'

function isNullable(schema: JsonValue | undefined): boolean {
  return isJsonObject(schema) && schema.nullable === true
}

/** What clients must not read of a schema that they understand only in part. */
function misleading(schema: JsonObject): Set<string> {
  const { type, items, nullable } = schema
  const left = new Set<string>()
  if (nullable === true) for (const keyword of ['type', 'items', 'properties']) left.add(keyword)
  if (schema[PRESERVES] === true) for (const keyword of ['items', 'properties']) left.add(keyword)
  if (type === 'object' && schema[PRESERVES] === true) left.add('type')
  if (type === 'array' && (items === undefined || left.has('items'))) left.add('type')
  return left
}

/** Null counts as absent there: a field that may be null cannot be required. */
function requiredOf({ required, properties, additionalProperties }: JsonObject): JsonValue[] {
  if (!Array.isArray(required) || isNullable(additionalProperties)) return []
  return required.filter(
    name => !(typeof name === 'string' && isJsonObject(properties) && isNullable(properties[name])),
  )
}

function converted(schema: JsonValue | undefined): JsonValue {
  if (!isJsonObject(schema)) return schema ?? null
  const [only] = Array.isArray(schema.allOf) ? schema.allOf : []
  if (isJsonObject(only) && typeof only.$ref === 'string')
    return { $ref: only.$ref.replace('#/components/schemas/', '#/definitions/') }
  const left = misleading(schema)
  const result: JsonObject = {}
  for (const [keyword, value] of Object.entries(schema)) {
    if (ONLY_V3.has(keyword) || left.has(keyword)) continue
    if (keyword === 'required') {
      const required = requiredOf(schema)
      if (required.length > 0) result.required = required
    } else if (keyword === 'properties' && isJsonObject(value)) {
      result.properties = Object.fromEntries(
        Object.entries(value).map(([name, each]) => [name, converted(each)]),
      )
    } else {
      result[keyword] = keyword === 'items' || keyword === 'additionalProperties' ? converted(value) : value
    }
  }
  return result
}

/** A published schema of a custom kind as OpenAPI v2. */
export function toSecondVersion(schema: JsonObject): JsonValue {
  // Clients would allow nothing beside the properties that they are told.
  if (schema[PRESERVES] === true) return { type: 'object', [KINDS]: schema[KINDS] ?? [] }
  return converted(schema)
}
