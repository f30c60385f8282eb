/** Opens a SQLite file the way the store wants it. */
import { closeSync, existsSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { sqliteResultCode, UnusableFile } from './failure.ts'
import { migrate, requireUsable } from './schema.ts'

/** Milliseconds to wait for another process that holds the file's lock. */
const BUSY_TIMEOUT = 2_000

/** https://www.sqlite.org/rescode.html */
const SQLITE_CORRUPT = 11
const SQLITE_NOTADB = 26

function withReasonNamed<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof UnusableFile) throw error
    const code = sqliteResultCode(error)
    const corrupt = code === SQLITE_CORRUPT || code === SQLITE_NOTADB
    const message = error instanceof Error ? error.message : String(error)
    throw new UnusableFile(corrupt ? 'corrupt' : 'unavailable', message)
  }
}

/** A read-only connection looks first: even closing a writing one would move the log into the file. */
function inspect(file: string): void {
  const reader = new DatabaseSync(file, { readOnly: true, timeout: BUSY_TIMEOUT })
  try {
    requireUsable(reader)
  } finally {
    reader.close()
  }
}

/**
 * Opens the file, making it (mode 0600) or migrating it when needed.
 *
 * WAL with `synchronous=FULL` syncs the log at every commit: what is committed survives a power cut. Pages of 8 KiB
 * hold several objects of a usual size; the log is moved into the file every 16 MiB.
 *
 * @throws `UnusableFile`
 */
export function openFile(file: string): DatabaseSync {
  return withReasonNamed(() => {
    if (existsSync(file)) inspect(file)
    else closeSync(openSync(file, 'a', 0o600))
    const database = new DatabaseSync(file, { timeout: BUSY_TIMEOUT })
    try {
      database.exec('PRAGMA page_size = 8192')
      database.exec('PRAGMA journal_mode = WAL')
      database.exec('PRAGMA synchronous = FULL')
      database.exec('PRAGMA wal_autocheckpoint = 2000')
      migrate(database)
      return database
    } catch (error) {
      database.close()
      throw error
    }
  })
}
