/** `admission.k8s.io/v1` AdmissionReview: what webhooks are asked, and what they may answer. */
import { type Static, Type, validatorOf } from '../../../../kit/index.ts'
import type { Identity } from '../access/index.ts'
import type { GroupVersionKind, Resource } from '../catalog/index.ts'
import type { JsonObject, JsonValue } from '../json.ts'
import type { StatusCause } from '../status.ts'
import { StatusError } from '../status.ts'
import type { Operation } from './matching.ts'

/** What is asked about, but for the object in the form that the webhook wants. */
export interface AdmissionAttributes {
  readonly identity: Identity
  readonly operation: Operation
  /** As the client named it. */
  readonly resource: Resource
  /** Empty for the object itself. */
  readonly subresource: string
  /** Empty outside of namespaces; of a namespace itself, its name. */
  readonly namespace: string
  /** Empty where it is generated. */
  readonly name: string
  readonly dryRun: boolean
  /** CreateOptions, UpdateOptions, …, with kind and apiVersion. */
  readonly options: JsonObject
}

/** The kind of the objects of a resource, or of one of its subresources. */
export function kindOf(resource: Resource, subresource: string): GroupVersionKind {
  const { group, version, kind } = resource.subresources.get(subresource)?.kind ?? resource
  return { group, version, kind }
}

function nameOf({ group, version, resource }: Resource): JsonObject {
  return { group, version, resource }
}

function userInfo({ user, uid, groups, extra }: Identity): JsonObject {
  return {
    username: user,
    ...(uid === undefined ? {} : { uid }),
    groups: [...groups],
    ...(extra === undefined ? {} : { extra: structuredClone(extra) as unknown as JsonObject }),
  }
}

/** The request of a review without its objects, as match conditions see it too. @param form how the webhook wants to see it */
export function requestOf(attributes: AdmissionAttributes, form: Resource, uid: string): JsonObject {
  const { identity, operation, resource, subresource, namespace, name, dryRun, options } = attributes
  const part = subresource === '' ? {} : { subResource: subresource, requestSubResource: subresource }
  return {
    uid,
    kind: { ...kindOf(form, subresource) },
    resource: nameOf(form),
    ...part,
    requestKind: { ...kindOf(resource, subresource) },
    requestResource: nameOf(resource),
    ...(name === '' ? {} : { name }),
    ...(namespace === '' ? {} : { namespace }),
    operation,
    userInfo: userInfo(identity),
    dryRun,
    options,
  }
}

export function reviewOf(request: JsonObject, object: JsonValue, oldObject: JsonValue): JsonObject {
  return {
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: { ...request, object, oldObject },
  }
}

const status = Type.Object({
  code: Type.Optional(Type.Union([Type.Null(), Type.Integer({ minimum: 0, maximum: 599 })])),
  message: Type.Optional(Type.Union([Type.Null(), Type.String()])),
  reason: Type.Optional(Type.Union([Type.Null(), Type.String()])),
  details: Type.Optional(Type.Unknown()),
})

const answer = Type.Object({
  kind: Type.String(),
  apiVersion: Type.String(),
  response: Type.Object({
    uid: Type.String(),
    allowed: Type.Boolean(),
    status: Type.Optional(Type.Union([Type.Null(), status])),
    patch: Type.Optional(Type.Union([Type.Null(), Type.String()])),
    patchType: Type.Optional(Type.Union([Type.Null(), Type.String()])),
    warnings: Type.Optional(Type.Union([Type.Null(), Type.Array(Type.String(), { maxItems: 1000 })])),
  }),
})
const answers = validatorOf(answer)

type RefusalStatus = Static<typeof status>

export interface Verdict {
  readonly allowed: boolean
  readonly status: RefusalStatus | undefined
  /** JSON Patch; undefined for none. */
  readonly patch: JsonValue | undefined
  readonly warnings: readonly string[]
}

/**
 * Reads what a webhook answered.
 *
 * @param mayPatch whether it is a mutating one
 * @throws `Error` saying why it is no answer
 */
export function readVerdict(value: JsonValue, uid: string, mayPatch: boolean): Verdict {
  if (!answers.accepts(value)) throw new Error('webhook response was absent, or is no AdmissionReview')
  const { kind, apiVersion, response } = value
  if (kind !== 'AdmissionReview' || apiVersion !== 'admission.k8s.io/v1') {
    throw new Error(
      `expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got ${apiVersion}, Kind=${kind}`,
    )
  }
  if (response.uid !== uid) {
    throw new Error(
      `expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(response.uid.slice(0, 100))}`,
    )
  }
  return {
    allowed: response.allowed,
    status: response.status ?? undefined,
    patch: readPatch(response.patch ?? '', response.patchType ?? '', mayPatch),
    warnings: response.warnings ?? [],
  }
}

function readPatch(patch: string, patchType: string, mayPatch: boolean): JsonValue | undefined {
  if (patch === '' && patchType === '') return undefined
  if (!mayPatch) throw new Error('webhook response must not specify a patch: it is a validating one')
  if (patch === '') throw new Error('webhook response specified patchType but no patch')
  if (patchType === '') throw new Error('webhook response specified patch but patchType is nil')
  if (patchType !== 'JSONPatch')
    throw new Error(`invalid webhook response patchType ${JSON.stringify(patchType)}, expected "JSONPatch"`)
  return JSON.parse(Buffer.from(patch, 'base64').toString('utf8'))
}

/** Characters of a webhook's own words. */
const LONGEST_MESSAGE = 32 * 1024

function causesOf(details: unknown): StatusCause[] | undefined {
  const { causes } = (details ?? {}) as { causes?: unknown }
  if (!Array.isArray(causes)) return undefined
  return causes.slice(0, 50).map((cause: Partial<StatusCause> | null) => ({
    reason: String(cause?.reason ?? ''),
    message: String(cause?.message ?? ''),
    field: String(cause?.field ?? ''),
  }))
}

/** The refusal by a webhook, as the client is told (`k8s.io/apiserver/pkg/admission/plugin/webhook/errors`). */
export function denial(webhook: string, refusal: RefusalStatus | undefined): StatusError {
  const denied = `admission webhook ${JSON.stringify(webhook)} denied the request`
  const message = (refusal?.message ?? '').slice(0, LONGEST_MESSAGE)
  const reason = (refusal?.reason ?? '').slice(0, 100)
  const why = message === '' ? reason : message
  const causes = causesOf(refusal?.details)
  return new StatusError(
    'Forbidden',
    why === '' ? `${denied} without explanation` : `${denied}: ${why}`,
    causes === undefined ? undefined : { causes },
    undefined,
    { code: Math.max(400, refusal?.code ?? 400), reason },
  )
}

/** What the client is told when a webhook that may not fail did. */
export function callFailure(webhook: string, why: string, cause: unknown): StatusError {
  const message = `failed calling webhook ${JSON.stringify(webhook)}: ${why}`
  return internalFailure(message, cause)
}

/** An internal error in the eyes of the client, that is not this server's. */
export function internalFailure(message: string, cause: unknown): StatusError {
  return new StatusError(
    'InternalError',
    `Internal error occurred: ${message}`,
    { causes: [{ reason: '', message, field: '' }] },
    cause,
    { code: 500, reason: 'InternalError' },
  )
}
