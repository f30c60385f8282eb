/**
 * `apiextensions.k8s.io/v1` ConversionReview: what conversion webhooks are asked, and what they may answer
 * (`k8s.io/apiextensions-apiserver/pkg/apiserver/conversion`).
 */
import { Type, validatorOf } from '../../../../kit/index.ts'
import { cloneJson, isJsonObject, type JsonObject, type JsonValue, memberOf } from '../json.ts'

const REVIEW = { kind: 'ConversionReview', apiVersion: 'apiextensions.k8s.io/v1' } as const

export function conversionReview(uid: string, version: string, objects: readonly JsonObject[]): JsonObject {
  return { ...REVIEW, request: { uid, desiredAPIVersion: version, objects: [...objects] } }
}

const answers = validatorOf(
  Type.Object({
    kind: Type.String(),
    apiVersion: Type.String(),
    response: Type.Object({
      uid: Type.String(),
      convertedObjects: Type.Optional(Type.Union([Type.Null(), Type.Array(Type.Unknown())])),
      result: Type.Object({
        status: Type.Optional(Type.String()),
        message: Type.Optional(Type.Union([Type.Null(), Type.String()])),
      }),
    }),
  }),
)

/** What the answer to a review has to be for. */
export interface Asked {
  readonly uid: string
  readonly version: string
  readonly kind: string
  readonly objects: readonly JsonObject[]
}

/** @throws `Error` saying why it is no answer, or what the webhook says that went wrong */
export function readConverted(value: JsonValue, asked: Asked): JsonObject[] {
  if (!answers.accepts(value)) throw new Error('the response is no ConversionReview with a result')
  const { kind, apiVersion, response } = value
  if (kind !== REVIEW.kind || apiVersion !== REVIEW.apiVersion)
    throw new Error(
      `expected response of ${REVIEW.apiVersion}, Kind=${REVIEW.kind}, got ${apiVersion}, Kind=${kind}`,
    )
  if (response.uid !== asked.uid) throw new Error(`expected response.uid=${JSON.stringify(asked.uid)}`)
  const { status = '', message } = response.result
  if (status !== 'Success') {
    throw new Error(message || `response.result.status was '${status}', not 'Success'`)
  }
  const converted = (response.convertedObjects ?? []) as JsonValue[]
  if (converted.length !== asked.objects.length) {
    throw new Error(`returned ${converted.length} objects, expected ${asked.objects.length}`)
  }
  return converted.map((object, index) => checked(object, asked, index))
}

function metadataOf(object: JsonValue | undefined): JsonObject {
  const metadata = isJsonObject(object) ? memberOf(object, 'metadata') : undefined
  return isJsonObject(metadata) ? metadata : {}
}

function checked(object: JsonValue, { version, kind, objects }: Asked, index: number): JsonObject {
  const refuse = (why: string) => new Error(`returned invalid converted object at index ${index}: ${why}`)
  if (!isJsonObject(object)) throw refuse('it is no object')
  if (object.apiVersion !== version)
    throw refuse(`invalid groupVersion (expected ${version}, received ${String(object.apiVersion)})`)
  if (object.kind !== kind) throw refuse(`invalid kind (expected ${kind}, received ${String(object.kind)})`)
  const before = metadataOf(objects[index])
  const after = metadataOf(object)
  for (const [field, name] of [
    ['name', 'name'],
    ['namespace', 'namespace'],
    ['uid', 'UID'],
  ] as const) {
    if (after[field] !== undefined && after[field] !== before[field])
      throw refuse(`must have the same ${name}`)
  }
  return { ...object, metadata: restored(before, after, refuse) }
}

/** Only labels and annotations are the webhook's to change. */
function restored(before: JsonObject, after: JsonObject, refuse: (why: string) => Error): JsonObject {
  const metadata = cloneJson(before)
  for (const field of ['labels', 'annotations'] as const) {
    const value = after[field]
    if (value === undefined || value === null) delete metadata[field]
    else if (isJsonObject(value) && Object.values(value).every(each => typeof each === 'string'))
      metadata[field] = cloneJson(value)
    else throw refuse(`metadata.${field} is no map of texts`)
  }
  return metadata
}
