/**
 * Checks values against their schema, with the words of Kubernetes (`k8s.io/kube-openapi/pkg/validation/validate`).
 *
 * On an update, what has not changed is not checked again ("ratcheting"): a schema that became stricter does not lock
 * the objects that there are.
 */
import { equalJson, isJsonObject, type JsonObject, type JsonValue, memberOf } from '../json.ts'
import {
  duplicate,
  type FieldProblem,
  invalid,
  notSupported,
  required,
  tooLong,
  tooMany,
} from '../problems.ts'
import { itemKey, oldItems, oldMember } from './correlation.ts'
import { childPath, itemPath } from './field-path.ts'
import { hasFormat } from './formats.ts'
import { matchesPattern, searchSteps } from './pattern.ts'
import type { SchemaNode } from './schema-node.ts'

/** Enough for one answer; an object may have millions. */
const MOST_TOLD = 50

function typeOf(value: JsonValue): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number'
  return typeof value
}

function hasType(value: JsonValue, { type, intOrString }: SchemaNode): boolean {
  const actual = typeOf(value)
  if (intOrString) return actual === 'integer' || actual === 'string'
  return type === '' || type === actual || (type === 'number' && actual === 'integer')
}

/** A string's length as Go counts runes. */
function lengthOf(text: string): number {
  let length = 0
  for (const _ of text) length += 1
  return length
}

/** Steps of some nanoseconds that one check may take: a schema of a megabyte on an object of three has far more. */
const MOST_STEPS = 50_000_000

/** What is left of the time for one object, its combinations included. */
class Effort {
  #left = MOST_STEPS

  /** @returns whether there was enough left */
  spend(steps: number): boolean {
    this.#left -= steps
    return this.#left >= 0
  }

  get exhausted(): boolean {
    return this.#left < 0
  }
}

class Validation {
  readonly problems: FieldProblem[] = []
  readonly #effort: Effort

  constructor(effort: Effort) {
    this.#effort = effort
  }

  add(problem: FieldProblem): void {
    if (this.problems.length < MOST_TOLD) this.problems.push(problem)
  }

  value(value: JsonValue, node: SchemaNode, path: string, old: JsonValue | undefined): void {
    if (this.problems.length >= MOST_TOLD || !this.#effort.spend(1 + (node.enum?.length ?? 0))) return
    if (old !== undefined && equalJson(value, old)) return
    if (value === null && node.nullable) return
    if (!hasType(value, node)) {
      const wanted = node.intOrString ? 'integer,string' : node.type
      const actual = typeOf(value)
      this.add(invalid(path, actual, `${path} in body must be of type ${wanted}: "${actual}"`))
      return
    }
    if (node.enum !== undefined && !node.enum.some(each => equalJson(each, value))) {
      this.add(
        notSupported(
          path,
          value,
          node.enum.map(each => (typeof each === 'string' ? each : JSON.stringify(each))),
        ),
      )
    }
    if (typeof value === 'string') this.#string(value, node, path)
    else if (typeof value === 'number') this.#number(value, node, path)
    else if (Array.isArray(value)) this.#list(value, node, path, old)
    else if (isJsonObject(value)) this.#object(value, node, path, old)
    this.#combinations(value, node, path)
  }

  #string(value: string, { minLength, maxLength, pattern, format }: SchemaNode, path: string): void {
    if (maxLength !== undefined && lengthOf(value) > maxLength)
      this.add(tooLong(path, `may not be more than ${maxLength} bytes`))
    if (minLength !== undefined && lengthOf(value) < minLength)
      this.add(invalid(path, value, `${path} in body should be at least ${minLength} chars long`))
    if (
      pattern !== undefined &&
      this.#effort.spend(searchSteps(pattern, value)) &&
      !matchesPattern(pattern, value)
    )
      this.add(invalid(path, value, `${path} in body should match '${pattern}'`))
    if (format !== '' && !hasFormat(value, format))
      this.add(
        invalid(
          path,
          value,
          `${path} in body must be of type ${format}: ${JSON.stringify(value.slice(0, 200))}`,
        ),
      )
  }

  #number(value: number, node: SchemaNode, path: string): void {
    const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf, format } = node
    const refuse = (what: string) => this.add(invalid(path, value, `${path} in body ${what}`))
    if (maximum !== undefined && (exclusiveMaximum ? value >= maximum : value > maximum))
      refuse(`should be less than ${exclusiveMaximum ? '' : 'or equal to '}${maximum}`)
    if (minimum !== undefined && (exclusiveMinimum ? value <= minimum : value < minimum))
      refuse(`should be greater than ${exclusiveMinimum ? '' : 'or equal to '}${minimum}`)
    if (multipleOf !== undefined && multipleOf > 0 && !Number.isInteger(value / multipleOf))
      refuse(`should be a multiple of ${multipleOf}`)
    if (format === 'int32' && Number.isInteger(value) && (value < -(2 ** 31) || value >= 2 ** 31))
      refuse('should be an int32')
  }

  #list(list: readonly JsonValue[], node: SchemaNode, path: string, old: JsonValue | undefined): void {
    const { minItems, maxItems, items, listType } = node
    if (maxItems !== undefined && list.length > maxItems) this.add(tooMany(path, list.length, maxItems))
    if (minItems !== undefined && list.length < minItems)
      this.add(invalid(path, list.length, `${path} in body should have at least ${minItems} items`))
    if (listType === 'set' || listType === 'map') this.#unique(list, node, path)
    if (items === undefined) return
    const oldOf = oldItems(old, node)
    for (const [index, item] of list.entries()) this.value(item, items, itemPath(path, index), oldOf(item))
  }

  #unique(list: readonly JsonValue[], { listType, listKeys, items }: SchemaNode, path: string): void {
    const seen = new Set<string>()
    for (const [index, item] of list.entries()) {
      const key =
        listType === 'map' && isJsonObject(item) ? itemKey(item, listKeys, items) : JSON.stringify(item)
      if (seen.has(key)) {
        const shown =
          listType === 'map' && isJsonObject(item)
            ? Object.fromEntries(listKeys.map(name => [name, memberOf(item, name) ?? null]))
            : item
        this.add(duplicate(itemPath(path, index), shown))
      }
      seen.add(key)
    }
  }

  #object(object: JsonObject, node: SchemaNode, path: string, old: JsonValue | undefined): void {
    const { minProperties, maxProperties, properties, additional } = node
    const names = Object.keys(object)
    if (maxProperties !== undefined && names.length > maxProperties)
      this.add(tooMany(path, names.length, maxProperties))
    if (minProperties !== undefined && names.length < minProperties)
      this.add(
        invalid(path, names.length, `${path} in body should have at least ${minProperties} properties`),
      )
    for (const name of node.required) {
      if (memberOf(object, name) === undefined) this.add(required(childPath(path, name)))
    }
    if (node.embedded) this.#embedded(object, path)
    for (const name of names) {
      const inner = properties.get(name) ?? (additional === 'any' ? undefined : additional)
      if (inner !== undefined)
        this.value(object[name] as JsonValue, inner, childPath(path, name), oldMember(old, name))
    }
  }

  #embedded(object: JsonObject, path: string): void {
    for (const name of ['apiVersion', 'kind']) {
      if (typeof object[name] !== 'string' || object[name] === '')
        this.add(required(childPath(path, name), 'must not be empty'))
    }
    if (object.metadata !== undefined && !isJsonObject(object.metadata))
      this.add(
        invalid(childPath(path, 'metadata'), typeOf(object.metadata as JsonValue), 'must be an object'),
      )
  }

  #accepts(value: JsonValue, node: SchemaNode): boolean {
    const validation = new Validation(this.#effort)
    validation.value(value, node, '', undefined)
    return validation.problems.length === 0
  }

  #combinations(value: JsonValue, { allOf, anyOf, oneOf, not }: SchemaNode, path: string): void {
    for (const each of allOf) this.value(value, each, path, undefined)
    if (anyOf.length > 0 && !anyOf.some(each => this.#accepts(value, each)))
      this.add(invalid(path, shownValue(value), `"${path}" must validate at least one schema (anyOf)`))
    if (oneOf.length > 0) {
      const found = oneOf.filter(each => this.#accepts(value, each)).length
      if (found !== 1) {
        const what = found === 0 ? 'Found none valid' : `Found ${found} valid alternatives`
        this.add(
          invalid(
            path,
            shownValue(value),
            `"${path}" must validate one and only one schema (oneOf). ${what}`,
          ),
        )
      }
    }
    if (not !== undefined && this.#accepts(value, not))
      this.add(invalid(path, shownValue(value), `"${path}" must not validate the schema (not)`))
  }
}

function shownValue(value: JsonValue): JsonValue {
  return typeof value === 'object' && value !== null ? typeOf(value) : value
}

/**
 * What is wrong with a value.
 *
 * @param path of the value; empty for a whole object
 * @param old what was there before; undefined for something new
 */
export function validateValue(
  value: JsonValue,
  schema: SchemaNode,
  path: string,
  old: JsonValue | undefined,
): FieldProblem[] {
  const effort = new Effort()
  const validation = new Validation(effort)
  validation.value(value, schema, path, old)
  if (!effort.exhausted) return validation.problems
  return [invalid(path, typeOf(value), 'checking it against its schema would take too long')]
}
