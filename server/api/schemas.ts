/** Describes the types to clients: `/v3/schemas`. */
import type { Field, Fields } from './fields.ts'
import { commonFields, type LinkBuilder, type ResourceType } from './resource-type.ts'

function showField(field: Field): Record<string, unknown> {
  return {
    type: field.type,
    create: field.create ?? false,
    update: field.update ?? false,
    required: field.required ?? false,
    nullable: field.nullable ?? !field.required,
    unique: false,
    default: field.default ?? null,
    ...(field.options === undefined ? {} : { options: field.options }),
    ...(field.minLength === undefined ? {} : { minLength: field.minLength }),
    ...(field.maxLength === undefined ? {} : { maxLength: field.maxLength }),
    ...(field.min === undefined ? {} : { min: field.min }),
    ...(field.max === undefined ? {} : { max: field.max }),
  }
}

function filterModifiers(field: Field): readonly string[] {
  if (field.type === 'string') return ['eq', 'ne', 'prefix', 'like', 'notlike', 'null', 'notnull']
  if (field.type === 'int' || field.type === 'date') {
    return ['eq', 'ne', 'lt', 'lte', 'gt', 'gte', 'null', 'notnull']
  }
  return ['eq', 'ne', 'null', 'notnull']
}

/** Fields whose values can be compared, so that lists can be limited to or ordered by them. */
export function listableFields(type: ResourceType): Fields {
  const all = { ...commonFields, ...type.fields }
  return Object.fromEntries(
    Object.entries(all).filter(([, field]) => /^(string|int|boolean|date|enum|reference\[)/.test(field.type)),
  )
}

export function showSchema(type: ResourceType, urls: LinkBuilder): Record<string, unknown> {
  const fields = { ...commonFields, ...type.fields }
  return {
    id: type.type,
    type: 'schema',
    links: { self: urls.resource('schemas', type.type), collection: urls.collection(type.plural) },
    actions: {},
    pluralName: type.plural,
    resourceMethods: ['GET', ...(type.update ? ['PUT'] : []), ...(type.remove ? ['DELETE'] : [])],
    collectionMethods: ['GET', ...(type.create ? ['POST'] : [])],
    resourceFields: Object.fromEntries(
      Object.entries(fields).map(([name, field]) => [name, showField(field)]),
    ),
    resourceActions: Object.fromEntries(
      Object.entries(type.actions ?? {}).map(([name, { input, output }]) => [
        name,
        { input: input ?? null, output },
      ]),
    ),
    collectionActions: {},
    collectionFields: {},
    collectionFilters: Object.fromEntries(
      Object.entries(listableFields(type)).map(([name, field]) => [
        name,
        { modifiers: filterModifiers(field) },
      ]),
    ),
    includeableLinks: [],
  }
}
