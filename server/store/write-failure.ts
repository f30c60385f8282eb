/** The ways in which a write that was accepted does not happen. */
import { type DroverError, isDroverError } from '../../kit/index.ts'
import type { DatabaseFailure } from './database.ts'
import { storeErrors } from './errors.ts'

const space = (id: string) => `space ${id}`

/** The database said no: nothing happened. */
export function refusedByDatabase(id: string, { message, diskFull }: DatabaseFailure): DroverError {
  return storeErrors.WriteFailed({
    object: space(id),
    message: `could not be written: ${message}`,
    cause: storeErrors.DatabaseRefused({ message }),
    ...(diskFull ? { status: 507, mend: 'free space on the disk of the database' } : {}),
  })
}

/** The epoch was not ours any more: nothing happened. */
export function fencedOff(id: string): DroverError {
  return storeErrors.WriteFailed({
    object: space(id),
    message: 'is written by another process now, or was deleted',
    mend: 'open it again',
    status: 503,
  })
}

/** The database did not get to it: nothing happened. */
export function databaseAway(id: string, cause: unknown): DroverError {
  return storeErrors.WriteFailed({
    object: space(id),
    message: 'could not be written: the database does not answer',
    status: 503,
    cause,
  })
}

/** The database was lost in the middle, and did not come back to say what it did. */
export function outcomeUnknown(id: string, cause: unknown): DroverError {
  return storeErrors.WriteFailed({
    object: space(id),
    message: 'the database does not answer; whether the write is on disk will be known when it does',
    mend: 'read the object before writing it again',
    status: 503,
    cause,
  })
}

/** What a database operation other than a write of an object failed with, as the store's callers know it. */
export function failedOperation(id: string, error: unknown): unknown {
  if (isDroverError(error, 'DatabaseRefused')) {
    return refusedByDatabase(id, { message: error.message, diskFull: error.status === 507 })
  }
  return isDroverError(error, 'DatabaseLost') ? outcomeUnknown(id, error) : error
}
