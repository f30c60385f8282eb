/** OpenAPI v3 documents made of v2 ones, for servers that have no others (OpenAPI 3.0.0 "Paths Object", "Components Object"). Pure. */
import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'

const DEFINITION = '#/definitions/'
const SCHEMA = '#/components/schemas/'
const METHODS = new Set(['get', 'put', 'post', 'delete', 'options', 'head', 'patch'])
/** Fields of parameters that are none of their schemas'. */
const OF_PARAMETER = new Set(['name', 'in', 'description', 'required'])
const JSON_MEDIA = ['application/json']

function mapObject(object: JsonObject, change: (value: JsonValue, key: string) => JsonValue): JsonObject {
  return Object.fromEntries(
    Object.entries(object).map(([key, value]) => [key, change(value as JsonValue, key)]),
  )
}

/** With references to where schemas are in v3. */
function schemaOf(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(schemaOf)
  if (!isJsonObject(value)) return value
  return mapObject(value, (item, key) =>
    key === '$ref' && typeof item === 'string' && item.startsWith(DEFINITION)
      ? `${SCHEMA}${item.slice(DEFINITION.length)}`
      : schemaOf(item),
  )
}

function textsOf(value: JsonValue | undefined): string[] {
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : []
}

function contentOf(schema: JsonValue, media: readonly string[]): JsonObject {
  return Object.fromEntries(media.map(each => [each, { schema: schemaOf(schema) }]))
}

function parameterOf(parameter: JsonObject): JsonObject {
  const own = Object.entries(parameter).filter(([key]) => OF_PARAMETER.has(key) || key.startsWith('x-'))
  const schema = Object.entries(parameter).filter(([key]) => !OF_PARAMETER.has(key) && !key.startsWith('x-'))
  return { ...Object.fromEntries(own), schema: Object.fromEntries(schema) } as JsonObject
}

function parametersOf(value: JsonValue | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : []
}

function responseOf(value: JsonValue, media: readonly string[]): JsonValue {
  if (!isJsonObject(value)) return value
  const { schema, ...rest } = value
  return schema === undefined ? rest : { ...rest, content: contentOf(schema, media) }
}

function operationOf(value: JsonObject): JsonObject {
  const { consumes, produces, parameters, responses, schemes: _schemes, ...rest } = value
  const [sent, answered] = [consumes, produces].map(media => {
    const named = textsOf(media).filter(each => each !== '*/*')
    return named.length === 0 ? JSON_MEDIA : named
  }) as [string[], string[]]
  const all = parametersOf(parameters)
  const body = all.find(parameter => parameter.in === 'body')
  return {
    ...rest,
    parameters: all.filter(parameter => parameter.in !== 'body').map(parameterOf),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            content: contentOf(body.schema ?? {}, sent),
            ...(body.required === true ? { required: true } : {}),
          },
        }),
    responses: isJsonObject(responses) ? mapObject(responses, each => responseOf(each, answered)) : {},
  }
}

/** @param part paths and definitions of an OpenAPI v2 document, without references to its parameters */
export function thirdVersionOf(part: {
  readonly paths: JsonObject
  readonly definitions: JsonObject
}): JsonObject {
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: 'v0.0.0' },
    paths: mapObject(part.paths, item =>
      isJsonObject(item)
        ? mapObject(item, (value, key) => {
            if (METHODS.has(key) && isJsonObject(value)) return operationOf(value)
            return key === 'parameters' ? parametersOf(value).map(parameterOf) : value
          })
        : item,
    ),
    components: { schemas: mapObject(part.definitions, schemaOf) },
  }
}
