/** Bodies of requests to objects of the kept form. */
import { apiVersionOf, type GroupVersionKind, type Resource } from '../catalog/index.ts'
import type { JsonObject } from '../json.ts'
import type { KubernetesObject } from '../objects.ts'
import { invalidObject } from '../problems.ts'
import { type Decoded, decodeObject, type ObjectSchema } from '../schema/index.ts'
import { badRequest } from '../status.ts'
import type { FieldValidation, WriteContext } from './context.ts'

function checkKind(body: JsonObject, { group, version, kind }: GroupVersionKind): void {
  const apiVersion = apiVersionOf({ group, version })
  const wanted = { apiVersion, kind }
  for (const field of ['apiVersion', 'kind'] as const) {
    const sent = body[field]
    if (sent === undefined || sent === null || sent === '') body[field] = wanted[field]
    else if (sent !== wanted[field]) {
      throw badRequest(
        `the ${field === 'kind' ? 'kind' : 'API version'} in the data (${String(sent).slice(0, 80)}) does not match the expected ${field === 'kind' ? 'kind' : 'API version'} (${wanted[field]})`,
      )
    }
  }
}

interface DecodeOptions {
  readonly fieldValidation: FieldValidation
  readonly warn: (text: string) => void
}

/** Does with unknown fields what the request wants. @throws `BadRequest` under `Strict` */
export function checkUnknownFields(
  { unknown }: Decoded,
  what: string,
  { fieldValidation, warn }: DecodeOptions,
): void {
  if (unknown.length === 0 || fieldValidation === 'Ignore') return
  const texts = unknown.map(field => `unknown field "${field}"`)
  if (fieldValidation === 'Strict') throw badRequest(`${what}: strict decoding error: ${texts.join(', ')}`)
  for (const text of texts) warn(text)
}

/**
 * Decodes a body of `kind` in place.
 *
 * @throws `BadRequest` for another kind, wrong types, or unknown fields under `Strict`; `Invalid` for missing required
 *   fields and values outside an enumeration
 */
export function decodeKind(
  body: JsonObject,
  kind: GroupVersionKind,
  schema: ObjectSchema,
  options: DecodeOptions,
): void {
  decodeWith(body, kind, options, what => decodeObject(body, schema, what))
}

/** Decodes an object of a resource in place. @throws `BadRequest` */
export function decodeResource({ custom, schema }: Resource, body: JsonObject, what: string): Decoded {
  return custom === undefined ? decodeObject(body, schema, what) : custom.decode(body, what)
}

function decodeWith(
  body: JsonObject,
  kind: GroupVersionKind,
  options: DecodeOptions,
  decode: (what: string) => Decoded,
): void {
  checkKind(body, kind)
  const what = `${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}`
  const decoded = decode(what)
  checkUnknownFields(decoded, what, options)
  const { problems } = decoded
  if (problems.length > 0) {
    const metadata = body.metadata as { name?: string } | undefined
    throw invalidObject(kind, metadata?.name ?? '', problems)
  }
}

/**
 * Decodes an object of the context's resource and brings it into the form in which it is kept; objects of custom kinds
 * with conversion by a webhook stay in their version.
 */
export function decodeToKept(context: WriteContext, body: JsonObject): KubernetesObject {
  const { resource } = context
  decodeWith(body, resource, context, what => decodeResource(resource, body, what))
  // What only a webhook can convert stays as it is until it is written.
  if (resource.custom !== undefined && resource.custom.conversion === undefined)
    body.apiVersion = resource.kept.apiVersion
  if (resource.face === undefined) return body as unknown as KubernetesObject
  const kept = resource.face.toKept(body)
  decodeObject(kept, resource.kept.schema, resource.kind)
  return kept as unknown as KubernetesObject
}
