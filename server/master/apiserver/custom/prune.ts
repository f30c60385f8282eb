/** Drops from an object what its schema does not know (Kubernetes "Custom Resources", field pruning). */
import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { childPath, itemPath } from './field-path.ts'
import type { SchemaNode } from './schema-node.ts'

/** Fields of whole objects, which no schema has to name. */
const OBJECT_FIELDS = new Set(['apiVersion', 'kind', 'metadata'])
/** What one answer tells. */
const MOST_TOLD = 50

function pruneObject(
  object: JsonObject,
  node: SchemaNode,
  path: string,
  whole: boolean,
  unknown: string[],
): void {
  for (const [name, value] of Object.entries(object)) {
    const property = node.properties.get(name)
    if (whole && OBJECT_FIELDS.has(name)) continue
    if (property !== undefined) {
      if (value === null && !property.nullable) delete object[name]
      else pruneValue(value as JsonValue, property, childPath(path, name), unknown)
    } else if (node.additional === 'any') continue
    else if (node.additional !== undefined) {
      if (value === null && !node.additional.nullable) delete object[name]
      else pruneValue(value as JsonValue, node.additional, childPath(path, name), unknown)
    } else if (!node.preservesUnknown) {
      delete object[name]
      if (unknown.length < MOST_TOLD) unknown.push(childPath(path, name))
    }
  }
}

function pruneValue(value: JsonValue, node: SchemaNode, path: string, unknown: string[]): void {
  if (Array.isArray(value)) {
    const { items } = node
    if (items === undefined) return
    for (const [index, item] of value.entries()) pruneValue(item, items, itemPath(path, index), unknown)
  } else if (isJsonObject(value)) pruneObject(value, node, path, node.embedded, unknown)
}

/**
 * Prunes an object in place: members that the schema does not name, and nulls where it does not allow them.
 *
 * @returns the paths of what was unknown
 */
export function pruneWhole(object: JsonObject, schema: SchemaNode): string[] {
  const unknown: string[] = []
  pruneObject(object, schema, '', true, unknown)
  return unknown
}

/** Whether a default holds nothing that the schema would drop. */
export function findUnknown(value: JsonValue, schema: SchemaNode): string[] {
  const unknown: string[] = []
  pruneValue(value, schema, '', unknown)
  return unknown
}
