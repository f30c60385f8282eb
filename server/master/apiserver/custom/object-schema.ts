/** The schemas of custom resources in the form that apply walks along, and as OpenAPI documents. */
import { isJsonObject, type JsonObject } from '../json.ts'
import type { FieldSchema, ObjectSchema, SchemaType } from '../schema/index.ts'
import type { SchemaNode } from './schema-node.ts'

const ANY: SchemaType = { kind: 'any' }
const DEDUCED: SchemaType = { kind: 'deduced' }
/** Shared: kinds have thousands of fields. */
const NO_STRATEGIES: ReadonlySet<string> = new Set()
const PLAIN = { type: 'any' }
const NO_FIELDS: ReadonlyMap<string, FieldSchema> = new Map()
const NOTHING: readonly FieldSchema[] = []
const NO_SOURCE = { fields: {} }

function field(name: string, type: SchemaType, node: SchemaNode | undefined): FieldSchema {
  const { listType = '', listKeys = [], mapType = '' } = node ?? {}
  return Object.freeze({
    name,
    type,
    required: false,
    enum: undefined,
    default: node?.default,
    mergeKey: undefined,
    patchStrategies: NO_STRATEGIES,
    source:
      listType === '' && listKeys.length === 0 && mapType === ''
        ? PLAIN
        : {
            type: 'any',
            ...(listType === '' ? {} : { list: listType }),
            ...(listKeys.length === 0 ? {} : { keys: [...listKeys] }),
            ...(mapType === '' ? {} : { map: mapType }),
          },
  })
}

const OTHERS = field('', DEDUCED, undefined)

function fieldsOf(node: SchemaNode): ReadonlyMap<string, FieldSchema> {
  if (node.properties.size === 0) return NO_FIELDS
  return new Map(
    [...node.properties].map(([name, property]) => [name, field(name, typeOf(property), property)]),
  )
}

function objectOf(node: SchemaNode): ObjectSchema {
  const others =
    node.preservesUnknown || node.additional === 'any' || node.embedded
      ? OTHERS
      : node.additional === undefined
        ? undefined
        : field('', typeOf(node.additional), node.additional)
  return Object.freeze({
    name: '',
    fields: fieldsOf(node),
    ...(others === undefined ? {} : { others }),
    completed: NOTHING,
    source: node.mapType === '' ? NO_SOURCE : { fields: {}, map: node.mapType },
  })
}

function typeOf(node: SchemaNode): SchemaType {
  if (node.type === 'array')
    return { kind: 'list', items: node.items === undefined ? ANY : typeOf(node.items) }
  if (node.type === 'object') return { kind: 'object', schema: objectOf(node) }
  return node.preservesUnknown && !node.intOrString ? DEDUCED : ANY
}

/** Fields of whole objects that come from the table. */
export interface ObjectFields {
  readonly apiVersion: FieldSchema
  readonly kind: FieldSchema
  readonly metadata: FieldSchema
}

/**
 * The definition of a custom kind.
 *
 * @param name in OpenAPI documents
 * @param published the same as OpenAPI
 */
export function objectSchemaOf(
  node: SchemaNode,
  name: string,
  { apiVersion, kind, metadata }: ObjectFields,
  published: JsonObject,
): ObjectSchema {
  const object = objectOf(node)
  const fields = new Map([
    ...object.fields,
    ['apiVersion', apiVersion],
    ['kind', kind],
    ['metadata', metadata],
  ] as const)
  return Object.freeze({ ...object, name, fields, published })
}

const REFERENCE = 'io.k8s.apimachinery.pkg.apis.meta.v1'

/** Names of schemas in OpenAPI documents: `com.example.v1.Widget`. */
export function publishedName(group: string, version: string, kind: string): string {
  return `${group.split('.').toReversed().join('.')}.${version}.${kind}`
}

function reference(name: string): JsonObject {
  return { allOf: [{ $ref: `#/components/schemas/${name}` }] }
}

const TYPE_FIELDS: JsonObject = {
  apiVersion: { type: 'string', description: 'Version of the schema of this object.' },
  kind: { type: 'string', description: 'Kind of this object.' },
}

/** A custom kind as OpenAPI v3. */
export function publishedSchema(
  raw: JsonObject,
  { group, version, kind }: { readonly group: string; readonly version: string; readonly kind: string },
): JsonObject {
  const { properties, ...rest } = raw
  return {
    ...rest,
    type: 'object',
    properties: {
      ...(isJsonObject(properties) ? properties : {}),
      ...TYPE_FIELDS,
      metadata: reference(`${REFERENCE}.ObjectMeta`),
    },
    'x-kubernetes-group-version-kind': [{ group, kind, version }],
  }
}

/** A list of a custom kind as OpenAPI v3. */
export function publishedList(
  item: string,
  { group, version, kind }: { readonly group: string; readonly version: string; readonly kind: string },
): JsonObject {
  return {
    type: 'object',
    required: ['items'],
    properties: {
      ...TYPE_FIELDS,
      metadata: reference(`${REFERENCE}.ListMeta`),
      items: { type: 'array', items: reference(item) },
    },
    'x-kubernetes-group-version-kind': [{ group, kind, version }],
  }
}
