/** Which part of an object's old version a part of the new one continues. */
import { isJsonObject, type JsonObject, type JsonValue, memberOf } from '../json.ts'
import type { SchemaNode } from './schema-node.ts'

/** The old value of a member. */
export function oldMember(old: JsonValue | undefined, name: string): JsonValue | undefined {
  return isJsonObject(old) ? memberOf(old, name) : undefined
}

/** The key of an item of a list with keys, as text. */
export function itemKey(item: JsonObject, keys: readonly string[], items: SchemaNode | undefined): string {
  return JSON.stringify(keys.map(key => memberOf(item, key) ?? items?.properties.get(key)?.default ?? null))
}

/** Finds the old version of items; only items with keys have one. */
export function oldItems(
  old: JsonValue | undefined,
  { listType, listKeys, items }: SchemaNode,
): (item: JsonValue) => JsonValue | undefined {
  if (listType !== 'map' || !Array.isArray(old)) return () => undefined
  const byKey = new Map(old.filter(isJsonObject).map(item => [itemKey(item, listKeys, items), item] as const))
  return item => (isJsonObject(item) ? byKey.get(itemKey(item, listKeys, items)) : undefined)
}
