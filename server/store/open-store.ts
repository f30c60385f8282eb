/** Opens the store that a process uses. */
import { type Clock, type Logger, systemClock } from '../../kit/index.ts'
import type { Store } from './contract.ts'
import { DEFAULT_LIMITS, DEFAULT_RETENTION, type HistoryRetention, type StoreLimits } from './limits.ts'
import { isMysqlAddress, MysqlDatabase, parseMysqlAddress } from './mysql/index.ts'
import { SqlStore } from './sql-store.ts'
import { SqliteDatabase } from './sqlite/index.ts'

export interface StoreOptions {
  /** Path of the SQLite file; made when missing, its directory is not. Or `mysql://USER:PASSWORD@HOST:PORT/DATABASE`. */
  readonly database: string
  readonly log: Logger
  readonly clock?: Clock
  readonly limits?: Partial<StoreLimits>
  readonly retention?: Partial<HistoryRetention>
}

/** A store that must be stopped. */
export interface RunningStore extends Store {
  /** Finishes the accepted writes, ends every watch, closes the database. */
  stop(): Promise<void>
}

/**
 * Opens the store, making the database or bringing it to this version's schema when needed.
 *
 * @throws `NewerVersion` when a newer version wrote the file, `CorruptFile` when it is something else,
 *   `DatabaseRefused` or `DatabaseLost` when it cannot be opened, `InvalidAddress`; in each case the file is left as it was
 */
export async function openStore(options: StoreOptions): Promise<RunningStore> {
  const { database: place, log } = options
  const database = isMysqlAddress(place)
    ? await MysqlDatabase.open({ address: parseMysqlAddress(place), log })
    : await SqliteDatabase.open({ file: place, log })
  try {
    return await SqlStore.start({
      database,
      log,
      clock: options.clock ?? systemClock,
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      retention: { ...DEFAULT_RETENTION, ...options.retention },
    })
  } catch (error) {
    await database.stop()
    throw error
  }
}
