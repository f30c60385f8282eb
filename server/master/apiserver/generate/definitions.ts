/** OpenAPI definitions to the definitions of the table. */
import { apiServerErrors } from '../errors.ts'
import { DEFINITION_PREFIX, type TableDefinition, type TableField } from '../schema/index.ts'
import { asList, asRecord, asString, asStrings } from './document.ts'
import { SUPPLEMENT } from './supplement.ts'
import type { WireForms } from './wire.ts'

/** Definitions that are one value on the wire. What OpenAPI says of them (`type: string`) is not enough to read them. */
const SCALARS: Readonly<Record<string, string>> = {
  'apimachinery.pkg.api.resource.Quantity': 'quantity',
  'apimachinery.pkg.apis.meta.v1.Time': 'time',
  'apimachinery.pkg.apis.meta.v1.MicroTime': 'micro-time',
  'apimachinery.pkg.util.intstr.IntOrString': 'int-or-string',
}

/** Defaults by `definition.field`. */
export type Defaults = ReadonlyMap<string, unknown>

function shortName(reference: unknown, object: string): string {
  const name = asString(reference, object).replace(/^#\/(definitions|components\/schemas)\//, '')
  if (!name.startsWith(DEFINITION_PREFIX))
    throw apiServerErrors.UnreadableSource({ object: name, expected: `a name with ${DEFINITION_PREFIX}` })
  return name.slice(DEFINITION_PREFIX.length)
}

/** Reads the defaults of OpenAPI v3 documents: v2 has none. */
export function collectDefaults(documents: readonly unknown[]): Defaults {
  const defaults = new Map<string, unknown>()
  for (const document of documents) {
    const components = asRecord(document, 'v3 document').components
    if (components === undefined) continue
    const schemas = asRecord(components, 'v3 document').schemas ?? {}
    for (const [name, schema] of Object.entries(asRecord(schemas, 'v3 schemas'))) {
      const properties = asRecord(schema, name).properties
      if (properties === undefined) continue
      for (const [field, property] of Object.entries(asRecord(properties, name))) {
        const value = asRecord(property, name).default
        if (value !== undefined) defaults.set(`${shortName(name, name)}.${field}`, value)
      }
    }
  }
  return defaults
}

function isAny(schema: Record<string, unknown>): boolean {
  return schema.properties === undefined && (schema.type === 'object' || schema.type === undefined)
}

class Converter {
  readonly #definitions: Readonly<Record<string, Record<string, unknown>>>
  readonly #defaults: Defaults
  readonly #wireForms: WireForms

  constructor(
    definitions: Readonly<Record<string, Record<string, unknown>>>,
    defaults: Defaults,
    wireForms: WireForms,
  ) {
    this.#definitions = definitions
    this.#defaults = defaults
    this.#wireForms = wireForms
  }

  #reference(reference: unknown, object: string): string {
    const name = shortName(reference, object)
    const scalar = SCALARS[name]
    if (scalar !== undefined) return scalar
    const target = this.#definitions[name]
    if (target === undefined)
      throw apiServerErrors.UnreadableSource({ object: name, expected: 'a definition' })
    return isAny(target) ? 'any' : `#${name}`
  }

  #type(schema: Record<string, unknown>, object: string): string {
    if (schema.$ref !== undefined) return this.#reference(schema.$ref, object)
    switch (schema.type) {
      case 'array':
        return `[]${this.#type(asRecord(schema.items, object), object)}`
      case 'object':
        return schema.additionalProperties === undefined
          ? 'any'
          : `{}${this.#type(asRecord(schema.additionalProperties, object), object)}`
      case 'string':
        return schema.format === 'byte' ? 'string:byte' : 'string'
      case 'integer':
        return schema.format === 'int32' ? 'integer:int32' : 'integer:int64'
      case 'number':
        return 'number'
      case 'boolean':
        return 'boolean'
      default:
        throw apiServerErrors.UnreadableSource({ object, expected: 'a known type' })
    }
  }

  #field(name: string, field: string, schema: Record<string, unknown>): TableField {
    const object = `${name}.${field}`
    const type = this.#type(schema, object)
    const supplement = SUPPLEMENT[name]?.[field]
    const fallback = supplement?.default ?? this.#defaults.get(object)
    const values =
      supplement?.enum ?? (schema.enum === undefined ? undefined : asStrings(schema.enum, object))
    const text = (key: string) => (schema[key] === undefined ? undefined : asString(schema[key], object))
    const details = {
      type,
      mergeKey: text('x-kubernetes-patch-merge-key'),
      patch: text('x-kubernetes-patch-strategy'),
      list: text('x-kubernetes-list-type'),
      keys:
        schema['x-kubernetes-list-map-keys'] === undefined
          ? undefined
          : asStrings(schema['x-kubernetes-list-map-keys'], object),
      map: text('x-kubernetes-map-type'),
      enum: values,
      default: fallback,
      zero: supplement?.zero,
    }
    const present = Object.entries(details).filter(([, value]) => value !== undefined)
    return present.length === 1 ? type : (Object.fromEntries(present) as TableField)
  }

  convert(name: string, schema: Record<string, unknown>): TableDefinition {
    const properties = asRecord(schema.properties ?? {}, name)
    const fields = Object.fromEntries(
      Object.entries(properties).map(([field, property]) => [
        field,
        this.#field(name, field, asRecord(property, name)),
      ]),
    )
    const required = asStrings(schema.required, name)
    const map = schema['x-kubernetes-map-type']
    const kinds = kindsOf(name, schema)
    const wire = this.#wireForms.of(name, Object.keys(fields))
    return {
      fields,
      ...(required.length === 0 ? {} : { required }),
      ...(map === undefined ? {} : { map: asString(map, name) }),
      ...(kinds.length === 0 ? {} : { kinds }),
      ...(wire === undefined ? {} : { wire }),
    }
  }
}

function kindsOf(name: string, schema: Record<string, unknown>): string[] {
  const listed = schema['x-kubernetes-group-version-kind']
  if (listed === undefined) return []
  const kinds = asList(listed, name).map(item => {
    const kind = asRecord(item, name)
    return `${asString(kind.group, name)}/${asString(kind.version, name)}/${asString(kind.kind, name)}`
  })
  // DeleteOptions and WatchEvent are listed once for every group version; the core one stands for all.
  return name.startsWith('apimachinery.') ? kinds.filter(kind => kind.startsWith('/v1/')) : kinds
}

/** Every definition with fields, under its name without the common prefix. */
export function convertDefinitions(
  source: Record<string, unknown>,
  defaults: Defaults,
  wireForms: WireForms,
): Record<string, TableDefinition> {
  const definitions = Object.fromEntries(
    Object.entries(source).map(([name, schema]) => [shortName(name, name), asRecord(schema, name)]),
  )
  const converter = new Converter(definitions, defaults, wireForms)
  return Object.fromEntries(
    Object.entries(definitions)
      .filter(([name, schema]) => SCALARS[name] === undefined && !isAny(schema))
      .map(([name, schema]) => [name, converter.convert(name, schema)]),
  )
}
