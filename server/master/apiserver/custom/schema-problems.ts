/**
 * What is wrong with the schema of a custom resource: it must be structural (Kubernetes "Extend the Kubernetes API with
 * CustomResourceDefinitions", specifying a structural schema), bounded, and its defaults must fit.
 */
import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { type FieldProblem, forbiddenField, invalid, notSupported, required } from '../problems.ts'
import { fillDefaults } from './defaults.ts'
import { childPath, itemPath } from './field-path.ts'
import { compilePattern } from './pattern.ts'
import { findUnknown } from './prune.ts'
import { checkRules } from './rules.ts'
import { readSchema, type SchemaNode } from './schema-node.ts'
import { validateValue } from './validate.ts'

/** Characters of one version's schema; the largest that are in use have 600,000. */
const LARGEST_SCHEMA = 1024 * 1024
const MOST_NODES = 50_000
const DEEPEST = 50
const MOST_TOLD = 20

const TYPES = new Set(['array', 'boolean', 'integer', 'number', 'object', 'string'])
const SCALARS = new Set(['boolean', 'integer', 'number', 'string'])
const LIST_TYPES = new Set(['atomic', 'map', 'set'])
const MAP_TYPES = new Set(['atomic', 'granular'])
/** Not part of what Kubernetes takes of OpenAPI. */
const FORBIDDEN = [
  '$ref',
  'definitions',
  'dependencies',
  'patternProperties',
  'additionalItems',
  'id',
  '$schema',
]
/** What only the structure may say, and no combination inside of it. */
const STRUCTURAL = [
  'type',
  'default',
  'nullable',
  'title',
  'additionalProperties',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-embedded-resource',
  'x-kubernetes-int-or-string',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-map-type',
  'x-kubernetes-validations',
]
const COMBINATIONS = ['allOf', 'anyOf', 'oneOf'] as const

class SchemaCheck {
  readonly problems: FieldProblem[] = []
  #nodes = 0

  add(problem: FieldProblem): void {
    if (this.problems.length < MOST_TOLD) this.problems.push(problem)
  }

  /** @returns false when the schema is too large to be looked at further */
  bounded(path: string, depth: number): boolean {
    this.#nodes += 1
    if (this.#nodes === MOST_NODES) this.add(invalid(path, '', `a schema may have ${MOST_NODES} parts`))
    if (depth > DEEPEST) this.add(invalid(path, '', `a schema may be nested ${DEEPEST} levels deep`))
    return this.#nodes < MOST_NODES && depth <= DEEPEST
  }

  structure(schema: JsonObject, path: string, depth: number, where: 'root' | 'field' | 'item'): void {
    if (!this.bounded(path, depth)) return
    for (const keyword of FORBIDDEN) {
      if (schema[keyword] !== undefined)
        this.add(forbiddenField(childPath(path, keyword), `${keyword} is not supported`))
    }
    if (schema.uniqueItems === true)
      this.add(
        forbiddenField(
          childPath(path, 'uniqueItems'),
          'uniqueItems cannot be set to true since the runtime complexity becomes quadratic',
        ),
      )
    this.#type(schema, path, where)
    this.#values(schema, path)
    this.#lists(schema, path)
    const { properties, items, additionalProperties } = schema
    if (properties !== undefined && isJsonObject(additionalProperties))
      this.add(
        forbiddenField(
          childPath(path, 'additionalProperties'),
          'additionalProperties and properties are mutual exclusive',
        ),
      )
    if (additionalProperties === false)
      this.add(
        forbiddenField(
          childPath(path, 'additionalProperties'),
          'additionalProperties cannot be set to false',
        ),
      )
    for (const [name, property] of Object.entries(isJsonObject(properties) ? properties : {})) {
      if (where === 'root' && name === 'metadata')
        this.#metadata(property as JsonValue, childPath(path, 'properties[metadata]'))
      else if (isJsonObject(property))
        this.structure(property, `${childPath(path, 'properties')}[${name}]`, depth + 1, 'field')
    }
    if (isJsonObject(additionalProperties))
      this.structure(additionalProperties, childPath(path, 'additionalProperties'), depth + 1, 'field')
    if (isJsonObject(items)) this.structure(items, childPath(path, 'items'), depth + 1, 'item')
    else if (items !== undefined)
      this.add(forbiddenField(childPath(path, 'items'), 'items must be a schema object and not an array'))
    this.#combinations(schema, schema, path, depth)
  }

  #type(schema: JsonObject, path: string, where: 'root' | 'field' | 'item'): void {
    const place = childPath(path, 'type')
    const { type } = schema
    const intOrString = schema['x-kubernetes-int-or-string'] === true
    const preserves = schema['x-kubernetes-preserve-unknown-fields'] === true
    const embedded = schema['x-kubernetes-embedded-resource'] === true
    if (where === 'root' && type !== 'object') {
      this.add(
        type === undefined
          ? required(place, 'must not be empty at the root')
          : invalid(place, type, 'must be object at the root'),
      )
    } else if (type === undefined || type === '') {
      if (!intOrString && !preserves)
        this.add(
          required(
            place,
            `must not be empty for specified ${where === 'item' ? 'array items' : 'object fields'}`,
          ),
        )
    } else if (typeof type !== 'string' || !TYPES.has(type)) this.add(notSupported(place, type, TYPES))
    if (type === 'array' && schema.items === undefined)
      this.add(required(childPath(path, 'items'), 'must be specified'))
    if (embedded && type !== 'object')
      this.add(invalid(place, type ?? '', 'must be object if x-kubernetes-embedded-resource is true'))
    if (embedded && schema.properties === undefined && !preserves)
      this.add(
        required(
          childPath(path, 'properties'),
          'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields',
        ),
      )
    if (intOrString && type !== undefined && type !== '')
      this.add(invalid(place, type, 'must be empty if x-kubernetes-int-or-string is true'))
    if (schema['x-kubernetes-preserve-unknown-fields'] === false)
      this.add(
        invalid(childPath(path, 'x-kubernetes-preserve-unknown-fields'), false, 'must be true or undefined'),
      )
  }

  #metadata(schema: JsonValue, path: string): void {
    if (!isJsonObject(schema)) return
    const { type, description: _description, properties, ...rest } = schema
    const names = Object.keys(isJsonObject(properties) ? properties : {})
    const named = names.every(name => name === 'name' || name === 'generateName')
    if (
      (type !== undefined && type !== 'object') ||
      !named ||
      Object.keys(rest).some(key => key !== 'x-kubernetes-validations' && key !== 'required')
    )
      this.add(
        forbiddenField(
          path,
          'must not specify anything other than name and generateName, but metadata is implicitly specified',
        ),
      )
  }

  #values(schema: JsonObject, path: string): void {
    const { pattern, enum: values } = schema
    if (typeof pattern === 'string') {
      try {
        compilePattern(pattern)
      } catch {
        this.add(invalid(childPath(path, 'pattern'), pattern, 'must be a valid regular expression'))
      }
    }
    if (Array.isArray(values) && values.length === 0)
      this.add(required(childPath(path, 'enum'), 'must not be empty'))
    const { rules } = readSchema({ 'x-kubernetes-validations': schema['x-kubernetes-validations'] ?? [] })
    for (const problem of checkRules(rules, path)) this.add(problem)
  }

  #lists(schema: JsonObject, path: string): void {
    const listType = schema['x-kubernetes-list-type']
    const mapType = schema['x-kubernetes-map-type']
    const keys = schema['x-kubernetes-list-map-keys']
    if (mapType !== undefined) {
      if (!MAP_TYPES.has(String(mapType)))
        this.add(notSupported(childPath(path, 'x-kubernetes-map-type'), mapType, MAP_TYPES))
      if (schema.type !== 'object')
        this.add(
          invalid(
            childPath(path, 'type'),
            schema.type ?? '',
            'must be object if x-kubernetes-map-type is specified',
          ),
        )
    }
    if (keys !== undefined && listType !== 'map')
      this.add(
        required(
          childPath(path, 'x-kubernetes-list-type'),
          'must be map if x-kubernetes-list-map-keys is non-empty',
        ),
      )
    if (listType === undefined) return
    if (!LIST_TYPES.has(String(listType)))
      this.add(notSupported(childPath(path, 'x-kubernetes-list-type'), listType, LIST_TYPES))
    if (schema.type !== 'array')
      this.add(
        invalid(
          childPath(path, 'type'),
          schema.type ?? '',
          'must be array if x-kubernetes-list-type is specified',
        ),
      )
    const items = isJsonObject(schema.items) ? schema.items : {}
    if (listType === 'map') this.#keyedList(items, Array.isArray(keys) ? keys : [], path)
    if (
      listType === 'set' &&
      !SCALARS.has(String(items.type)) &&
      items['x-kubernetes-map-type'] !== 'atomic' &&
      items['x-kubernetes-list-type'] !== 'atomic'
    )
      this.add(
        invalid(
          childPath(path, 'items'),
          items.type ?? '',
          'must be a scalar or atomic type as item of a list with x-kubernetes-list-type=set',
        ),
      )
  }

  #keyedList(items: JsonObject, keys: readonly JsonValue[], path: string): void {
    const place = childPath(path, 'x-kubernetes-list-map-keys')
    if (keys.length === 0) this.add(required(place, 'must not be empty if x-kubernetes-list-type is map'))
    if (items.type !== 'object')
      this.add(
        invalid(
          childPath(path, 'items.type'),
          items.type ?? '',
          "must be object if parent array's x-kubernetes-list-type is map",
        ),
      )
    const properties = isJsonObject(items.properties) ? items.properties : {}
    const demanded = Array.isArray(items.required) ? items.required : []
    for (const [index, key] of keys.entries()) {
      const property = properties[String(key)]
      if (!isJsonObject(property))
        this.add(invalid(itemPath(place, index), key, 'entries must all be names of item properties'))
      else {
        if (!SCALARS.has(String(property.type)))
          this.add(
            invalid(
              `${childPath(path, 'items.properties')}[${String(key)}].type`,
              property.type ?? '',
              "must be a scalar type if parent array's x-kubernetes-list-type is map",
            ),
          )
        if (!demanded.includes(key) && property.default === undefined)
          this.add(
            required(
              `${childPath(path, 'items.properties')}[${String(key)}].default`,
              'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property',
            ),
          )
      }
    }
  }

  /** Combinations only narrow the values of fields that the structure has. */
  #combinations(schema: JsonObject, structure: JsonObject, path: string, depth: number): void {
    for (const keyword of COMBINATIONS) {
      const list = schema[keyword]
      if (!Array.isArray(list)) continue
      for (const [index, each] of list.entries())
        if (isJsonObject(each))
          this.#combined(each, structure, itemPath(childPath(path, keyword), index), depth + 1)
    }
    if (isJsonObject(schema.not)) this.#combined(schema.not, structure, childPath(path, 'not'), depth + 1)
  }

  #combined(schema: JsonObject, structure: JsonObject, path: string, depth: number): void {
    if (!this.bounded(path, depth)) return
    for (const keyword of STRUCTURAL) {
      // The forms that stand for `IntOrString` name their types.
      if (
        schema[keyword] === undefined ||
        (keyword === 'type' && structure['x-kubernetes-int-or-string'] === true)
      )
        continue
      this.add(forbiddenField(childPath(path, keyword), 'must be empty to be structural'))
    }
    this.#values(schema, path)
    const fields = isJsonObject(structure.properties) ? structure.properties : {}
    for (const [name, property] of Object.entries(isJsonObject(schema.properties) ? schema.properties : {})) {
      const inner =
        fields[name] ??
        (isJsonObject(structure.additionalProperties) ? structure.additionalProperties : undefined)
      const place = `${childPath(path, 'properties')}[${name}]`
      if (!isJsonObject(property)) continue
      if (isJsonObject(inner)) this.#combined(property, inner, place, depth + 1)
      else if (structure['x-kubernetes-preserve-unknown-fields'] !== true && name !== 'metadata')
        this.add(
          required(
            `${path.replace(/\.(allOf|anyOf|oneOf|not).*$/, '')}.properties[${name}]`,
            `because it is defined in ${place}`,
          ),
        )
    }
    if (isJsonObject(schema.items) && isJsonObject(structure.items))
      this.#combined(schema.items, structure.items, childPath(path, 'items'), depth + 1)
    this.#combinations(schema, structure, path, depth)
  }

  defaults(node: SchemaNode, path: string): void {
    const { default: value, properties, items, additional } = node
    if (value !== undefined) {
      const place = childPath(path, 'default')
      const copy = structuredClone(value)
      const unknown = findUnknown(copy, node)
      if (unknown.length > 0)
        this.add(invalid(place, value, `must not have unknown fields: ${unknown.join(', ')}`))
      fillDefaults(copy, node)
      for (const problem of validateValue(copy, node, place, undefined)) this.add(problem)
    }
    for (const [name, property] of properties)
      this.defaults(property, `${childPath(path, 'properties')}[${name}]`)
    if (items !== undefined) this.defaults(items, childPath(path, 'items'))
    if (additional !== undefined && additional !== 'any')
      this.defaults(additional, childPath(path, 'additionalProperties'))
  }
}

/** What is wrong with the schema of one version. @param path of the schema in its definition */
export function checkSchema(schema: JsonObject, path: string): FieldProblem[] {
  const size = JSON.stringify(schema).length
  if (size > LARGEST_SCHEMA) return [invalid(path, size, `a schema may have ${LARGEST_SCHEMA} characters`)]
  const check = new SchemaCheck()
  check.structure(schema, path, 0, 'root')
  if (check.problems.length === 0) check.defaults(readSchema(schema), path)
  return check.problems
}
