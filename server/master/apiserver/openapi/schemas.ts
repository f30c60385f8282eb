/** The table's definitions as OpenAPI schemas again. */
import type { Catalog } from '../catalog/index.ts'
import type { JsonObject, JsonValue } from '../json.ts'
import { DEFINITION_PREFIX, type FieldSchema, type ObjectSchema, type SchemaType } from '../schema/index.ts'

/** Where the two versions of OpenAPI differ. */
export interface Dialect {
  /** A schema that comes as OpenAPI v3. */
  published(schema: JsonObject): JsonValue

  /** How a schema names another one. */
  reference(name: string): Record<string, unknown>
  /** Whether defaults may be told. */
  readonly defaults: boolean
}

/** Scalars with a definition of their own in Kubernetes' documents. */
const SCALARS: Readonly<
  Partial<Record<SchemaType['kind'], { name: string; schema: Record<string, unknown> }>>
> = {
  quantity: { name: 'apimachinery.pkg.api.resource.Quantity', schema: { type: 'string' } },
  time: { name: 'apimachinery.pkg.apis.meta.v1.Time', schema: { type: 'string', format: 'date-time' } },
  'micro-time': {
    name: 'apimachinery.pkg.apis.meta.v1.MicroTime',
    schema: { type: 'string', format: 'date-time' },
  },
  'int-or-string': {
    name: 'apimachinery.pkg.util.intstr.IntOrString',
    schema: { type: 'string', format: 'int-or-string' },
  },
}

function fullName(name: string): string {
  return `${DEFINITION_PREFIX}${name}`
}

/** The name of a definition in documents. */
export function documentName({ name, published }: ObjectSchema): string {
  return published === undefined ? fullName(name) : name
}

function typeSchema(type: SchemaType, dialect: Dialect): Record<string, unknown> {
  const scalar = SCALARS[type.kind]
  if (scalar !== undefined) return dialect.reference(fullName(scalar.name))
  switch (type.kind) {
    case 'bytes':
      return { type: 'string', format: 'byte' }
    case 'integer':
      return { type: 'integer', format: `int${type.bits}` }
    case 'number':
      return { type: 'number', format: 'double' }
    case 'any':
    case 'deduced':
      return { type: 'object' }
    case 'list':
      return { type: 'array', items: typeSchema(type.items, dialect) }
    case 'map':
      return { type: 'object', additionalProperties: typeSchema(type.values, dialect) }
    case 'object':
      return dialect.reference(fullName(type.schema.name))
    default:
      return { type: type.kind }
  }
}

/** Extensions by their names in the table. */
const EXTENSIONS = {
  mergeKey: 'x-kubernetes-patch-merge-key',
  patch: 'x-kubernetes-patch-strategy',
  list: 'x-kubernetes-list-type',
  keys: 'x-kubernetes-list-map-keys',
  map: 'x-kubernetes-map-type',
} as const

function fieldSchema(field: FieldSchema, dialect: Dialect): Record<string, unknown> {
  const schema = typeSchema(field.type, dialect)
  if (typeof field.source === 'string') return schema
  for (const [short, extension] of Object.entries(EXTENSIONS)) {
    const value = field.source[short as keyof typeof EXTENSIONS]
    if (value !== undefined) schema[extension] = value
  }
  if (field.source.enum !== undefined) schema.enum = field.source.enum
  if (dialect.defaults && field.default !== undefined) schema.default = field.default
  return schema
}

function objectSchema({ fields, source }: ObjectSchema, dialect: Dialect): Record<string, unknown> {
  const kinds = (source.kinds ?? []).map(text => {
    const [group, version, kind] = text.split('/')
    return { group, kind, version }
  })
  return {
    type: 'object',
    properties: Object.fromEntries([...fields].map(([name, field]) => [name, fieldSchema(field, dialect)])),
    ...(source.required === undefined ? {} : { required: source.required }),
    ...(source.map === undefined ? {} : { 'x-kubernetes-map-type': source.map }),
    ...(kinds.length === 0 ? {} : { 'x-kubernetes-group-version-kind': kinds }),
  }
}

function referenced(type: SchemaType): ObjectSchema | undefined {
  if (type.kind === 'object') return type.schema
  if (type.kind === 'list') return referenced(type.items)
  return type.kind === 'map' ? referenced(type.values) : undefined
}

/** Schemas that every answer or request may use. */
const PROTOCOL = ['DeleteOptions', 'ListMeta', 'ObjectMeta', 'Status', 'WatchEvent', 'APIResourceList'].map(
  name => `apimachinery.pkg.apis.meta.v1.${name}`,
)

/** The schemas of `roots` and everything that they refer to, by full name. */
export function schemasOf(
  catalog: Catalog,
  roots: readonly ObjectSchema[],
  dialect: Dialect,
): Record<string, unknown> {
  const pending = [...roots, ...PROTOCOL.map(name => catalog.schemas.byName(name))]
  const seen = new Set<ObjectSchema>()
  for (let schema = pending.pop(); schema !== undefined; schema = pending.pop()) {
    if (seen.has(schema)) continue
    seen.add(schema)
    for (const field of schema.fields.values()) {
      const next = referenced(field.type)
      if (next !== undefined) pending.push(next)
    }
  }
  const named = [...seen].map(
    schema =>
      [
        documentName(schema),
        schema.published === undefined ? objectSchema(schema, dialect) : dialect.published(schema.published),
      ] as const,
  )
  const scalars = Object.values(SCALARS).map(({ name, schema }) => [fullName(name), schema] as const)
  return Object.fromEntries([...named, ...scalars].sort(([a], [b]) => (a < b ? -1 : 1)))
}
