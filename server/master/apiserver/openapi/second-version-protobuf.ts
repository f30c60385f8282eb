/**
 * The OpenAPI v2 document in its protobuf form (`openapi.v2.Document` of gnostic), which is the only one that kubectl
 * reads: it checks lists of objects by it.
 *
 * Two documents one after the other are one document with the paths and definitions of both: that is how protobuf
 * merges messages.
 */
import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { ProtobufMessage } from './protobuf-writer.ts'

function entries(value: JsonValue | undefined): [string, JsonValue][] {
  return isJsonObject(value) ? (Object.entries(value) as [string, JsonValue][]) : []
}

/** `x-…`, whose values are YAML, which JSON is too. */
function extensions(message: ProtobufMessage, field: number, object: JsonObject): ProtobufMessage {
  for (const [name, value] of entries(object)) {
    if (!name.startsWith('x-')) continue
    const any = new ProtobufMessage().text(2, JSON.stringify(value))
    message.message(field, new ProtobufMessage().text(1, name).message(2, any))
  }
  return message
}

function named(name: string, value: ProtobufMessage): ProtobufMessage {
  return new ProtobufMessage().text(1, name).message(2, value)
}

function schemas(members: JsonValue | undefined): ProtobufMessage {
  const message = new ProtobufMessage()
  for (const [name, value] of entries(members)) {
    if (isJsonObject(value)) message.message(1, named(name, schema(value)))
  }
  return message
}

function schema(object: JsonObject): ProtobufMessage {
  const message = new ProtobufMessage()
    .text(1, object.$ref)
    .text(2, object.format)
    .text(3, object.title)
    .text(4, object.description)
    .texts(19, object.required)
  for (const value of Array.isArray(object.enum) ? object.enum : [])
    message.message(20, new ProtobufMessage().text(2, JSON.stringify(value)))
  const { additionalProperties, items, properties, type } = object
  if (isJsonObject(additionalProperties))
    message.message(21, new ProtobufMessage().message(1, schema(additionalProperties)))
  else if (additionalProperties === true) message.message(21, new ProtobufMessage().truth(2, true))
  if (typeof type === 'string') message.message(22, new ProtobufMessage().text(1, type))
  if (isJsonObject(items)) message.message(23, new ProtobufMessage().message(1, schema(items)))
  if (isJsonObject(properties)) message.message(25, schemas(properties))
  return extensions(message, 31, object)
}

function parameter(object: JsonObject): ProtobufMessage {
  const item = new ProtobufMessage()
  if (object.in === 'body') {
    const body = new ProtobufMessage()
      .text(2, object.name)
      .text(3, object.in)
      .truth(4, object.required)
      .message(5, schema(isJsonObject(object.schema) ? object.schema : {}))
    return item.message(1, new ProtobufMessage().message(1, body))
  }
  const query = object.in === 'query'
  const plain = new ProtobufMessage()
    .truth(1, object.required)
    .text(2, object.in)
    .text(4, object.name)
    .text(query ? 6 : 5, object.type)
  const other = new ProtobufMessage().message(query ? 3 : 4, plain)
  return item.message(1, new ProtobufMessage().message(2, other))
}

function operation(object: JsonObject): ProtobufMessage {
  const message = new ProtobufMessage()
    .text(5, object.operationId)
    .texts(6, object.produces)
    .texts(7, object.consumes)
  for (const each of Array.isArray(object.parameters) ? object.parameters : [])
    if (isJsonObject(each)) message.message(8, parameter(each))
  return extensions(message, 13, object)
}

const METHODS = new Map([
  ['get', 2],
  ['put', 3],
  ['post', 4],
  ['delete', 5],
  ['patch', 8],
])

function pathItem(object: JsonValue): ProtobufMessage {
  const message = new ProtobufMessage()
  for (const [method, value] of entries(object)) {
    const field = METHODS.get(method)
    if (field !== undefined && isJsonObject(value)) message.message(field, operation(value))
  }
  return message
}

/** @param document as `openApiV2` makes it */
export function encodeSecondVersion(document: JsonObject): Buffer {
  const info = isJsonObject(document.info) ? document.info : {}
  const paths = new ProtobufMessage()
  for (const [path, item] of entries(document.paths)) paths.message(2, named(path, pathItem(item)))
  return new ProtobufMessage()
    .text(1, document.swagger)
    .message(2, new ProtobufMessage().text(1, info.title).text(2, info.version))
    .message(8, paths)
    .message(9, schemas(document.definitions))
    .encode()
}
