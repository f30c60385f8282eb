/** OpenAPI documents of others among those of this server. Pure. */
import { isDeepStrictEqual } from 'node:util'
import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'

const DEFINITION = '#/definitions/'
const PARAMETER = '#/parameters/'

function objectAt(document: JsonObject, field: string): JsonObject {
  const value = document[field]
  return isJsonObject(value) ? value : {}
}

/** With parameters where they are referred to: those of several documents have no names in common. */
function withParameters(value: JsonValue, parameters: JsonObject): JsonValue {
  if (Array.isArray(value)) return value.map(item => withParameters(item, parameters))
  if (!isJsonObject(value)) return value
  const { $ref } = value
  if (typeof $ref === 'string' && $ref.startsWith(PARAMETER))
    return parameters[$ref.slice(PARAMETER.length)] ?? {}
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, withParameters(item as JsonValue, parameters)]),
  )
}

/** Every reference to a definition, with another name where it has one. */
function renamed(value: JsonValue, names: ReadonlyMap<string, string>): JsonValue {
  if (Array.isArray(value)) return value.map(item => renamed(item, names))
  if (!isJsonObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      if (key !== '$ref' || typeof item !== 'string' || !item.startsWith(DEFINITION))
        return [key, renamed(item as JsonValue, names)]
      const name = item.slice(DEFINITION.length)
      return [key, `${DEFINITION}${names.get(name) ?? name}`]
    }),
  )
}

/** Names of the definitions that a value refers to. */
function referred(value: JsonValue, found: Set<string>): void {
  if (Array.isArray(value)) for (const item of value) referred(item, found)
  else if (isJsonObject(value)) {
    for (const [key, item] of Object.entries(value)) {
      if (key === '$ref' && typeof item === 'string' && item.startsWith(DEFINITION))
        found.add(item.slice(DEFINITION.length))
      else referred(item as JsonValue, found)
    }
  }
}

/** The definitions that are needed for some paths. */
function neededDefinitions(paths: JsonObject, definitions: JsonObject): string[] {
  const needed = new Set<string>()
  referred(paths, needed)
  // A set goes on to what is added while it is walked.
  for (const name of needed) referred(definitions[name] ?? null, needed)
  return [...needed].filter(name => definitions[name] !== undefined)
}

/** A free name for a definition that is another one here. */
function freeName(name: string, taken: (name: string) => boolean): string {
  for (let number = 2; ; number += 1) if (!taken(`${name}_v${number}`)) return `${name}_v${number}`
}

/**
 * What the OpenAPI v2 document of another server adds for a version of a group: its paths, and the definitions that they
 * need; one that means something else here gets another name.
 *
 * @param known definitions that there are already
 */
export function secondVersionAddition(
  document: JsonObject,
  group: string,
  version: string,
  known: JsonObject,
): { readonly paths: JsonObject; readonly definitions: JsonObject } {
  const root = `/apis/${group}/${version}`
  const own = Object.entries(objectAt(document, 'paths')).filter(
    ([path]) => path === root || path.startsWith(`${root}/`),
  )
  const paths = withParameters(
    Object.fromEntries(own) as JsonObject,
    objectAt(document, 'parameters'),
  ) as JsonObject
  const definitions = objectAt(document, 'definitions')
  const names = new Map<string, string>()
  const added: JsonObject = {}
  for (const name of neededDefinitions(paths, definitions)) {
    const present = known[name]
    if (present === undefined) added[name] = definitions[name] as JsonValue
    else if (!isDeepStrictEqual(present, definitions[name])) {
      const free = freeName(name, each => known[each] !== undefined || definitions[each] !== undefined)
      names.set(name, free)
      added[free] = definitions[name] as JsonValue
    }
  }
  return {
    paths: renamed(paths, names) as JsonObject,
    definitions: renamed(added, names) as JsonObject,
  }
}
