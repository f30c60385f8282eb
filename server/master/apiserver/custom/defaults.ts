/** Fills in the defaults that a schema names. */
import { cloneJson, isJsonObject, type JsonValue, setMember } from '../json.ts'
import type { SchemaNode } from './schema-node.ts'

/**
 * Characters of JSON that defaults may add to one object. A small text can have a hundred thousand items, and the schema a
 * large default for each: together they would be more than any memory. What has more than this could not be stored.
 */
const MOST_ADDED = 3 * 1024 * 1024
/** Around each member: quotation marks, a colon, a comma. */
const PUNCTUATION = 4

const lengths = new WeakMap<SchemaNode, number>()

/** Characters of a schema's default. */
function lengthOf(node: SchemaNode): number {
  let length = lengths.get(node)
  if (length === undefined) {
    length = JSON.stringify(node.default).length
    lengths.set(node, length)
  }
  return length
}

class Filling {
  #left = MOST_ADDED

  /** @returns whether everything fitted */
  fill(value: JsonValue, node: SchemaNode): boolean {
    if (Array.isArray(value)) {
      const { items } = node
      return items === undefined || value.every(item => this.fill(item, items))
    }
    if (!isJsonObject(value)) return true
    for (const [name, property] of node.properties) {
      const present = Object.hasOwn(value, name) ? value[name] : undefined
      const missing = present === undefined || (present === null && !property.nullable)
      if (missing && property.default !== undefined) {
        this.#left -= name.length + lengthOf(property) + PUNCTUATION
        if (this.#left < 0) return false
        setMember(value, name, cloneJson(property.default))
      }
      const filled = Object.hasOwn(value, name) ? value[name] : undefined
      if (filled !== undefined && !this.fill(filled, property)) return false
    }
    const { additional, properties } = node
    if (additional === undefined || additional === 'any') return true
    return Object.entries(value).every(
      ([name, member]) => properties.has(name) || this.fill(member as JsonValue, additional),
    )
  }
}

/**
 * Completes a value in place; defaults may have defaults inside.
 *
 * @returns false when there was too much to fill in; the rest is as it was
 */
export function fillDefaults(value: JsonValue, node: SchemaNode): boolean {
  return new Filling().fill(value, node)
}
