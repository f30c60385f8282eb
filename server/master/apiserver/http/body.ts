/** Bodies of requests: JSON, YAML or protobuf, bounded. */
import type { IncomingMessage } from 'node:http'
import { atMost, DEFAULT_BODY_LIMIT, explainError, isDroverError, readBody } from '../../../../kit/index.ts'
import type { Cluster } from '../cluster/index.ts'
import { isDeeperThan, isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import type { PatchType } from '../operations/index.ts'
import { DEPTH_LIMIT } from '../patch/index.ts'
import { parseProtobuf } from '../schema/index.ts'
import { badRequest, StatusError } from '../status.ts'
import type { YamlReader } from './yaml/index.ts'

/** Milliseconds that a client has to send its body. */
const BODY_DEADLINE = 60_000
/** YAML takes far longer to read than JSON. */
const YAML_LIMIT = 1024 * 1024

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

function unsupported(type: string, accepted: readonly string[]): StatusError {
  return new StatusError(
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')} (got ${JSON.stringify(type.slice(0, 80))})`,
  )
}

const APPLY_TYPE = 'application/apply-patch+yaml'

/** Whether the body of a PATCH is what somebody applies. */
export function isApply(request: IncomingMessage): boolean {
  return mediaType(request) === APPLY_TYPE
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

/** Bodies that may be YAML. */
export class ObjectBodies {
  readonly #yaml: YamlReader

  constructor(yaml: YamlReader) {
    this.#yaml = yaml
  }

  /**
   * The body as an object; undefined when there is none.
   *
   * @throws `BadRequest`, `UnsupportedMediaType`, `RequestEntityTooLarge`, `QueueFull`
   */
  async read(request: IncomingMessage, cluster: Cluster): Promise<JsonObject | undefined> {
    const type = mediaType(request)
    if (type !== '' && type !== JSON_TYPE && type !== PROTOBUF_TYPE && !YAML_TYPES.has(type)) {
      throw unsupported(type, [JSON_TYPE, 'application/yaml', PROTOBUF_TYPE])
    }
    const bytes = await readBytes(request)
    if (bytes.length === 0) return undefined
    const value = await this.#parse(type, bytes, cluster)
    if (!isJsonObject(value)) throw badRequest('the body of the request must be a JSON object')
    return value
  }

  /** A body that must be there. @throws as `read` */
  async require(request: IncomingMessage, cluster: Cluster): Promise<JsonObject> {
    const object = await this.read(request, cluster)
    if (object === undefined) throw badRequest('the body of the request must not be empty')
    return object
  }

  /** What somebody applies: YAML, which JSON is too. @throws as `read` */
  async readApplied(request: IncomingMessage, cluster: Cluster): Promise<JsonObject> {
    const text = (await readBytes(request)).toString('utf8')
    // Most clients send JSON under this name, and it is read much faster.
    const applied = /^\s*\{/.test(text) ? parseJson(text) : await this.#parseYaml(text, cluster)
    if (!isJsonObject(applied)) throw badRequest('the body of the request must be an object')
    if (isDeeperThan(applied, DEPTH_LIMIT)) {
      throw badRequest(`the object is nested more than ${DEPTH_LIMIT} levels deep`)
    }
    return applied
  }

  async #parse(type: string, bytes: Buffer, cluster: Cluster): Promise<JsonValue> {
    if (type === PROTOBUF_TYPE) {
      return parseProtobuf(bytes, (apiVersion, kind) => cluster.catalog.schemas.findKind(apiVersion, kind))
    }
    const text = bytes.toString('utf8')
    return YAML_TYPES.has(type) ? await this.#parseYaml(text, cluster) : parseJson(text)
  }

  async #parseYaml(text: string, cluster: Cluster): Promise<JsonValue> {
    if (text.length > YAML_LIMIT) throw tooLarge(YAML_LIMIT)
    const json = await this.#yaml.read(cluster.id, text)
    if (json === undefined) return null
    if (json.length > DEFAULT_BODY_LIMIT) throw tooLarge(DEFAULT_BODY_LIMIT)
    return JSON.parse(json)
  }
}
