/**
 * Answers that say no, in the form clients of Kubernetes know: the `Status` kind of `meta/v1`.
 *
 * Reasons, codes and wordings are those of the Kubernetes API conventions ("Response Status Kind"): clients decide by
 * the reason, people and scripts read the message.
 */
import { DroverError, explainError, isDroverError } from '../../../kit/index.ts'

/** One reason in detail: which field, and what about it. */
export interface StatusCause {
  readonly reason: string
  readonly message: string
  readonly field: string
}

export interface StatusDetails {
  readonly name?: string
  readonly group?: string
  /** The kind, or the plural resource name: Kubernetes uses both. */
  readonly kind?: string
  readonly uid?: string
  readonly causes?: readonly StatusCause[]
  readonly retryAfterSeconds?: number
}

/** HTTP code by reason. */
const CODES = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  InternalError: 500,
  NotImplemented: 501,
  ServiceUnavailable: 503,
  Timeout: 504,
} as const

/** Fields told in one conflict. */
const SHOWN_CONFLICTS = 50

export type StatusReason = keyof typeof CODES

/** Names one resource, for messages. The core group is empty. */
export interface ResourceName {
  readonly group: string
  readonly resource: string
}

/** What somebody outside of the server said, in words and with a code of their own. */
export interface ForeignRefusal {
  /** 400 or more. */
  readonly code: number
  /** Empty for none. */
  readonly reason: string
}

/** A refusal that the client is told. */
export class StatusError extends DroverError {
  readonly reason: StatusReason
  readonly details: StatusDetails | undefined
  /** Undefined where the server itself refuses. */
  readonly foreign: ForeignRefusal | undefined

  /** @param foreign what the client is told instead of the reason and its code */
  constructor(
    reason: StatusReason,
    message: string,
    details?: StatusDetails,
    cause?: unknown,
    foreign?: ForeignRefusal,
  ) {
    const status = foreign?.code ?? CODES[reason]
    super(reason, { status, message }, cause === undefined ? {} : { cause })
    this.reason = reason
    this.details = details
    this.foreign = foreign
  }
}

function reasonOf({ reason, foreign }: StatusError): { readonly reason?: string } {
  const told = foreign?.reason ?? reason
  return told === '' ? {} : { reason: told }
}

/** The `Status` object of a refusal. */
export function statusObject(error: StatusError) {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: error.message,
    ...reasonOf(error),
    ...(error.details === undefined ? {} : { details: error.details }),
    code: error.status,
  }
}

/** The `Status` object of a success that has no object to show. */
export function successObject(details?: StatusDetails, code = 200) {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    ...(details === undefined ? {} : { details }),
    ...(code === 200 ? {} : { code }),
  }
}

function qualified({ group, resource }: ResourceName): string {
  return group === '' ? resource : `${resource}.${group}`
}

export function notFound(resource: ResourceName, name: string): StatusError {
  return new StatusError('NotFound', `${qualified(resource)} "${name}" not found`, {
    name,
    group: resource.group,
    kind: resource.resource,
  })
}

/** For paths that lead nowhere. */
export function pathNotFound(): StatusError {
  return new StatusError('NotFound', 'the server could not find the requested resource', {})
}

export function alreadyExists(resource: ResourceName, name: string): StatusError {
  return new StatusError('AlreadyExists', `${qualified(resource)} "${name}" already exists`, {
    name,
    group: resource.group,
    kind: resource.resource,
  })
}

export function conflict(resource: ResourceName, name: string, why: string): StatusError {
  return new StatusError(
    'Conflict',
    `Operation cannot be fulfilled on ${qualified(resource)} "${name}": ${why}`,
    {
      name,
      group: resource.group,
      kind: resource.resource,
    },
  )
}

/** The conflict of somebody who has not seen the newest version. */
export function modified(resource: ResourceName, name: string): StatusError {
  return conflict(
    resource,
    name,
    'the object has been modified; please apply your changes to the latest version and try again',
  )
}

/** The conflict of an apply with the managers of fields. */
export function conflictOfManagers(
  resource: ResourceName,
  name: string,
  conflicts: readonly { readonly field: string; readonly message: string }[],
): StatusError {
  const shown = conflicts.slice(0, SHOWN_CONFLICTS)
  const count = conflicts.length === 1 ? '1 conflict' : `${conflicts.length} conflicts`
  const texts = shown.map(({ field, message }) => `${message}: ${field}`)
  return new StatusError(
    'Conflict',
    `Apply failed with ${count}: ${shown.length === 1 ? texts[0] : `conflicts with:\n- ${texts.join('\n- ')}`}`,
    {
      name,
      group: resource.group,
      kind: resource.resource,
      causes: shown.map(conflict => ({ reason: 'FieldManagerConflict', ...conflict })),
    },
  )
}

export function forbidden(
  resource: ResourceName,
  name: string,
  why: string,
  causes?: readonly StatusCause[],
): StatusError {
  const object = name === '' ? qualified(resource) : `${qualified(resource)} "${name}"`
  return new StatusError('Forbidden', `${object} is forbidden: ${why}`, {
    ...(name === '' ? {} : { name }),
    group: resource.group,
    kind: resource.resource,
    ...(causes === undefined ? {} : { causes }),
  })
}

export function badRequest(message: string, cause?: unknown): StatusError {
  return new StatusError('BadRequest', message, undefined, cause)
}

/** History before a revision is gone; the client has to list again. */
export function expired(message: string): StatusError {
  return new StatusError('Expired', message)
}

/** The client has seen a revision that this server has not (yet). */
export function tooLargeResourceVersion(asked: number, current: number): StatusError {
  return new StatusError('Timeout', `Too large resource version: ${asked}, current: ${current}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version', field: '' }],
    retryAfterSeconds: 1,
  })
}

const REASON_BY_CODE = new Map<number, StatusReason>(
  Object.entries(CODES).map(([reason, code]) => [code, reason as StatusReason]),
)

/** Any thrown value as a refusal. What nobody expected is an internal error that tells nothing of the inside. */
export function toStatusError(error: unknown): StatusError {
  if (error instanceof StatusError) return error
  if (isDroverError(error) && error.status !== 500) {
    const reason = REASON_BY_CODE.get(error.status) ?? 'InternalError'
    return new StatusError(reason, explainError(error), undefined, error)
  }
  return new StatusError(
    'InternalError',
    'an error on the server has prevented the request from succeeding',
    undefined,
    error,
  )
}
