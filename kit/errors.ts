/**
 * Errors that tell their reader what to do.
 *
 * Every package declares one table of errors with `defineErrors`; nothing else creates a `DroverError`.
 * A code is stable: clients and tests compare it, the text may change.
 */

/** What one line of an error table says about every error of that code. */
export interface ErrorDefinition {
  /** HTTP status that a face of the system answers with when this error reaches it. */
  readonly status: number
  /** One clause, lower case, without a full stop: what went wrong. */
  readonly message: string
  /** What usually mends it; an occurrence may say something more exact. */
  readonly mend?: string
}

/** What one occurrence adds to its definition. */
export interface ErrorDetails {
  /** The object it happened to, the way a user would name it: `stack web`, `pods default/web-1`. */
  readonly object?: string
  /** What was expected instead of what was found. */
  readonly expected?: string
  /** What the user can do about it; replaces the definition's. */
  readonly mend?: string
  /** More exact wording of the message for this occurrence. */
  readonly message?: string
  /** The field of the input that is wrong, as a path: `services.web.ports[0]`. */
  readonly field?: string
  /** Another HTTP status than the definition's, where one failure has several kinds: a disk may be full or broken. */
  readonly status?: number
  readonly cause?: unknown
}

/** An error with a stable code, the object it is about, what was expected and how to mend it. */
export class DroverError extends Error {
  readonly code: string
  readonly status: number
  readonly object: string | undefined
  readonly expected: string | undefined
  readonly mend: string | undefined
  readonly field: string | undefined

  constructor(code: string, definition: ErrorDefinition, details: ErrorDetails = {}) {
    const reason = details.message ?? definition.message
    super(details.object === undefined ? reason : `${details.object}: ${reason}`, { cause: details.cause })
    this.name = 'DroverError'
    this.code = code
    this.status = details.status ?? definition.status
    this.object = details.object
    this.expected = details.expected
    this.mend = details.mend ?? definition.mend
    this.field = details.field
  }

  /** The whole story on one line, for a terminal or a log. */
  explain(): string {
    const parts = [this.message]
    if (this.expected !== undefined) parts.push(`expected ${this.expected}`)
    if (this.mend !== undefined) parts.push(this.mend)
    return parts.join('; ')
  }
}

type ErrorFactories<Codes extends string> = {
  readonly [Code in Codes]: (details?: ErrorDetails) => DroverError
}

/**
 * Turns a table of definitions into one factory per code.
 *
 * @example
 * const storeErrors = defineErrors({ NotFound: { status: 404, message: 'does not exist' } })
 * throw storeErrors.NotFound({ object: 'space c1' })
 */
export function defineErrors<Codes extends string>(
  table: Record<Codes, ErrorDefinition>,
): ErrorFactories<Codes> {
  const factories: Record<string, (details?: ErrorDetails) => DroverError> = {}
  for (const [code, definition] of Object.entries<ErrorDefinition>(table)) {
    factories[code] = details => new DroverError(code, definition, details)
  }
  return factories as ErrorFactories<Codes>
}

/** True when `error` is a `DroverError`, of the given code when one is named. */
export function isDroverError(error: unknown, code?: string): error is DroverError {
  return error instanceof DroverError && (code === undefined || error.code === code)
}

/** A text for any thrown value: the explanation of ours, the message of foreign ones. */
export function explainError(error: unknown): string {
  if (error instanceof DroverError) return error.explain()
  if (error instanceof Error) return error.message
  return String(error)
}

/** The system error code (`ENOENT`, `EADDRINUSE`, …) of a thrown value, if it carries one. */
export function systemErrorCode(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code
  return undefined
}

/** Errors of the kit itself. */
export const kitErrors = defineErrors({
  InvalidFormat: { status: 422, message: 'has an invalid format' },
  BodyTooLarge: { status: 413, message: 'the request body is too large' },
  QueueFull: { status: 503, message: 'the queue is full', mend: 'try again later' },
  DeadlineExceeded: { status: 504, message: 'did not finish in time' },
  Stopped: { status: 503, message: 'is stopping', mend: 'try again when it runs again' },
  CommandFailed: { status: 500, message: 'the command failed' },
  CommandMissing: { status: 500, message: 'the command is not installed' },
  DirectoryInUse: {
    status: 409,
    message: 'is in use by another process',
    mend: 'stop that process first, or name another directory with --data',
  },
  CorruptFile: { status: 500, message: 'does not hold what was written to it' },
  NewerVersion: {
    status: 409,
    message: 'was written by a newer version',
    mend: 'start that version, or name another directory with --data',
  },
  AddressInUse: { status: 409, message: 'is in use by another process', mend: 'name another port' },
})
