/** Bodies of requests: JSON, YAML or protobuf, bounded. */
import type { IncomingMessage } from 'node:http'
import { isScalar, parseDocument, visit } from 'yaml'
import { atMost, DEFAULT_BODY_LIMIT, explainError, isDroverError, readBody } from '../../../../kit/index.ts'
import { isDeeperThan, isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import type { PatchType } from '../operations/index.ts'
import { DEPTH_LIMIT } from '../patch/index.ts'
import { parseProtobuf, type Schemas } from '../schema/index.ts'
import { badRequest, StatusError } from '../status.ts'

/** Milliseconds that a client has to send its body. */
const BODY_DEADLINE = 60_000
/** YAML takes far longer to read than JSON, and the event loop waits for it. */
const YAML_LIMIT = 256 * 1024
/** Aliases make a small text a large object ("billion laughs", CVE-2019-11253). */
const YAML_ALIAS_LIMIT = 50

const JSON_TYPE = 'application/json'
const PROTOBUF_TYPE = 'application/vnd.kubernetes.protobuf'
const YAML_TYPES = new Set(['application/yaml', 'text/yaml', 'application/x-yaml'])

const PATCH_TYPES = new Map<string, PatchType>([
  ['application/json-patch+json', 'json'],
  ['application/merge-patch+json', 'merge'],
  ['application/strategic-merge-patch+json', 'strategic'],
])

function tooLarge(limit: number): StatusError {
  return new StatusError('RequestEntityTooLarge', `Request entity too large: limit is ${limit}`)
}

function mediaType(request: IncomingMessage): string {
  return (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
}

async function readBytes(request: IncomingMessage): Promise<Buffer> {
  try {
    return await atMost(BODY_DEADLINE, 'request body', readBody(request, DEFAULT_BODY_LIMIT))
  } catch (error) {
    if (isDroverError(error, 'BodyTooLarge')) throw tooLarge(DEFAULT_BODY_LIMIT)
    if (isDroverError(error, 'DeadlineExceeded')) throw error
    throw badRequest('the request body could not be read', error)
  }
}

function parseJson(text: string): JsonValue {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw badRequest(`the body of the request is not valid JSON: ${explainError(cause)}`, cause)
  }
}

/** @throws `RangeError` for a map that has a key twice */
function requireUniqueKeys(document: ReturnType<typeof parseDocument>): void {
  visit(document, {
    Map(_, { items }) {
      const seen = new Set<unknown>()
      for (const { key } of items) {
        const value = isScalar(key) ? key.value : key
        if (seen.has(value)) throw new RangeError(`Map keys must be unique: ${String(value).slice(0, 80)}`)
        seen.add(value)
      }
    },
  })
}

function parseYaml(text: string): JsonValue {
  if (text.length > YAML_LIMIT) throw tooLarge(YAML_LIMIT)
  let expanded: string | undefined
  try {
    // The library would compare every key with all before it: with tens of thousands of them, that takes half a minute.
    const document = parseDocument(text, { uniqueKeys: false })
    const [error] = document.errors
    if (error !== undefined) throw error
    requireUniqueKeys(document)
    // Through JSON: aliases become copies, and what JSON cannot say is gone.
    expanded = JSON.stringify(document.toJS({ maxAliasCount: YAML_ALIAS_LIMIT }))
  } catch (cause) {
    throw badRequest(`the body of the request is not valid YAML: ${explainError(cause)}`, cause)
  }
  if (expanded === undefined) return null
  if (expanded.length > DEFAULT_BODY_LIMIT) throw tooLarge(DEFAULT_BODY_LIMIT)
  return JSON.parse(expanded)
}

function unsupported(type: string, accepted: readonly string[]): StatusError {
  return new StatusError(
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')} (got ${JSON.stringify(type.slice(0, 80))})`,
  )
}

function parseBody(type: string, bytes: Buffer, schemas: Schemas): JsonValue {
  if (type === PROTOBUF_TYPE) {
    return parseProtobuf(bytes, (apiVersion, kind) => schemas.findKind(apiVersion, kind))
  }
  const text = bytes.toString('utf8')
  return YAML_TYPES.has(type) ? parseYaml(text) : parseJson(text)
}

/**
 * The body as an object; undefined when there is none.
 *
 * @throws `BadRequest`, `UnsupportedMediaType`, `RequestEntityTooLarge`
 */
export async function readObject(
  request: IncomingMessage,
  schemas: Schemas,
): Promise<JsonObject | undefined> {
  const type = mediaType(request)
  if (type !== '' && type !== JSON_TYPE && type !== PROTOBUF_TYPE && !YAML_TYPES.has(type)) {
    throw unsupported(type, [JSON_TYPE, 'application/yaml', PROTOBUF_TYPE])
  }
  const bytes = await readBytes(request)
  if (bytes.length === 0) return undefined
  const value = parseBody(type, bytes, schemas)
  if (!isJsonObject(value)) throw badRequest('the body of the request must be a JSON object')
  return value
}

/** A body that must be there. @throws as `readObject` */
export async function requireObject(request: IncomingMessage, schemas: Schemas): Promise<JsonObject> {
  const object = await readObject(request, schemas)
  if (object === undefined) throw badRequest('the body of the request must not be empty')
  return object
}

const APPLY_TYPE = 'application/apply-patch+yaml'

/** Whether the body of a PATCH is what somebody applies. */
export function isApply(request: IncomingMessage): boolean {
  return mediaType(request) === APPLY_TYPE
}

/** What somebody applies: YAML, which JSON is too. @throws `BadRequest`, `RequestEntityTooLarge` */
export async function readApplied(request: IncomingMessage): Promise<JsonObject> {
  const text = (await readBytes(request)).toString('utf8')
  // Most clients send JSON under this name, and it is read much faster.
  const applied = /^\s*\{/.test(text) ? parseJson(text) : parseYaml(text)
  if (!isJsonObject(applied)) throw badRequest('the body of the request must be an object')
  if (isDeeperThan(applied, DEPTH_LIMIT)) {
    throw badRequest(`the object is nested more than ${DEPTH_LIMIT} levels deep`)
  }
  return applied
}

/** @throws `UnsupportedMediaType`, `BadRequest`, `RequestEntityTooLarge` */
export async function readPatch(
  request: IncomingMessage,
): Promise<{ readonly type: PatchType; readonly patch: JsonValue }> {
  const mediaTypeName = mediaType(request)
  const type = PATCH_TYPES.get(mediaTypeName)
  if (type === undefined) throw unsupported(mediaTypeName, [...PATCH_TYPES.keys(), APPLY_TYPE])
  const patch = parseJson((await readBytes(request)).toString('utf8'))
  if (isDeeperThan(patch, DEPTH_LIMIT)) {
    throw badRequest(`the patch is nested more than ${DEPTH_LIMIT} levels deep`)
  }
  return { type, patch }
}
