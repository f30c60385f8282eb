/** Fills in the defaults that a schema names. */
import { cloneJson, isJsonObject, type JsonValue, setMember } from '../json.ts'
import type { SchemaNode } from './schema-node.ts'

/** Completes a value in place; defaults may have defaults inside. */
export function fillDefaults(value: JsonValue, node: SchemaNode): void {
  if (Array.isArray(value)) {
    if (node.items !== undefined) for (const item of value) fillDefaults(item, node.items)
    return
  }
  if (!isJsonObject(value)) return
  for (const [name, property] of node.properties) {
    const present = Object.hasOwn(value, name) ? value[name] : undefined
    const missing = present === undefined || (present === null && !property.nullable)
    if (missing && property.default !== undefined) setMember(value, name, cloneJson(property.default))
    const filled = Object.hasOwn(value, name) ? value[name] : undefined
    if (filled !== undefined) fillDefaults(filled, property)
  }
  if (node.additional === undefined || node.additional === 'any') return
  for (const [name, member] of Object.entries(value)) {
    if (!node.properties.has(name)) fillDefaults(member as JsonValue, node.additional)
  }
}
