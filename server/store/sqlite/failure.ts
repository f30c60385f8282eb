/** What an error of SQLite says about the work that failed with it. */
import type { DatabaseFailure } from '../database.ts'

/** https://www.sqlite.org/rescode.html */
const SQLITE_BUSY = 5
const SQLITE_READONLY = 8
const SQLITE_FULL = 13
const SQLITE_CONSTRAINT = 19

/**
 * Failures of COMMIT after which nothing of the transaction is in the log.
 *
 * After any other one, an error of fsync(2) above all, the log may hold the whole transaction although SQLite has
 * taken it back in memory, and recovery would find it.
 */
const REFUSALS: readonly number[] = [SQLITE_BUSY, SQLITE_READONLY, SQLITE_FULL, SQLITE_CONSTRAINT]

/** The primary result code of an error that SQLite gave; undefined for any other error. */
export function sqliteResultCode(error: unknown): number | undefined {
  if (error instanceof Error && 'errcode' in error && typeof error.errcode === 'number') {
    return error.errcode & 0xff
  }
  return undefined
}

export type UnusableReason = 'newer' | 'foreign' | 'corrupt' | 'unavailable'

/** The file cannot be a store of this version. Crosses the thread as its reason and message. */
export class UnusableFile extends Error {
  readonly reason: UnusableReason

  constructor(reason: UnusableReason, message: string) {
    super(message)
    this.reason = reason
  }
}

/** A COMMIT failed in a way that leaves open whether the transaction is on disk. */
export class UnknownOutcome extends Error {}

/** What a failure of COMMIT means: the error itself when nothing was written, an `UnknownOutcome` otherwise. */
export function commitFailure(error: unknown): unknown {
  const code = sqliteResultCode(error)
  if (code !== undefined && REFUSALS.includes(code)) return error
  return new UnknownOutcome(describeFailure(error).message, { cause: error })
}

export function describeFailure(error: unknown): DatabaseFailure {
  return {
    message: error instanceof Error ? error.message : String(error),
    diskFull: sqliteResultCode(error) === SQLITE_FULL,
  }
}
