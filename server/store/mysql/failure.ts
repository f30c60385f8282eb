/** What an error of the client library says about the work that failed with it. */
import type { DatabaseFailure } from '../database.ts'

/** Full disk, full table (https://mariadb.com/kb/en/mariadb-error-codes/). */
const DISK_FULL = new Set(['ER_DISK_FULL', 'ER_RECORD_FILE_FULL', 'ER_DISK_FULL_NOWAIT'])
/** The server answered, and its answer is that it ends. */
const ENDING = new Set([
  'ER_SERVER_SHUTDOWN',
  'ER_CONNECTION_KILLED',
  'ER_QUERY_INTERRUPTED',
  'ER_NORMAL_SHUTDOWN',
])

interface SqlError extends Error {
  readonly code?: string
  readonly errno?: number
  readonly fatal?: boolean
  readonly sqlState?: string
}

function isSqlError(error: unknown): error is SqlError {
  return error instanceof Error && 'code' in error
}

/** Whether the server said no, so that nothing of the statement was done. Otherwise the connection is lost. */
export function isRefusal(error: unknown): boolean {
  if (!isSqlError(error) || error.fatal === true) return false
  return error.sqlState !== undefined && !ENDING.has(error.code ?? '')
}

export function describeFailure(error: unknown): DatabaseFailure {
  const text = error instanceof Error ? error.message : String(error)
  return { message: text, diskFull: isSqlError(error) && DISK_FULL.has(error.code ?? '') }
}

/** Whether a column that must have a value was given none. */
export function isMissingValue(error: unknown): boolean {
  return isSqlError(error) && error.code === 'ER_BAD_NULL_ERROR'
}
