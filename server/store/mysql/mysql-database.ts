/**
 * The store's database on MySQL or MariaDB: one connection, asked one thing after the other, replaced when it is lost.
 *
 * Before a new connection does anything, the server is told to end the lost one: what was asked of that must not happen
 * later, when everybody believes that it did not.
 */
import { type Connection, createConnection } from 'mysql2/promise'
import { atMost, DroverError, explainError, isDroverError, type Logger } from '../../../kit/index.ts'
import { DatabaseCalls, type DatabaseOperations } from '../database-calls.ts'
import { storeErrors } from '../errors.ts'
import type { MysqlAddress } from './address.ts'
import { describeFailure, isRefusal } from './failure.ts'
import { MysqlLog } from './mysql-log.ts'
import { migrate } from './schema.ts'

/** Milliseconds for one request. */
const DEFAULT_DEADLINE = 30_000
const CONNECT_DEADLINE = 10_000
/** Prepared statements of the connection: all that the log has. */
const STATEMENTS = 64
const UNKNOWN_CONNECTION = 'ER_NO_SUCH_THREAD'

export interface MysqlDatabaseOptions {
  readonly address: MysqlAddress
  readonly log: Logger
  /** Milliseconds after which a request counts as lost. */
  readonly deadline?: number
}

interface Live {
  readonly connection: Connection
  readonly log: MysqlLog
}

export class MysqlDatabase extends DatabaseCalls {
  readonly #options: MysqlDatabaseOptions
  #live: Live | undefined
  /** The server's number of a connection that was lost and may still be doing something. */
  #lost: number | undefined
  #last: Promise<unknown> = Promise.resolve()
  #stopped = false

  private constructor(options: MysqlDatabaseOptions) {
    super()
    this.#options = options
  }

  /** @throws `DatabaseRefused`, `DatabaseLost`, `NewerVersion`, `CorruptFile` */
  static async open(options: MysqlDatabaseOptions): Promise<MysqlDatabase> {
    const database = new MysqlDatabase(options)
    await database.#inTurn('open', async () => {
      const { connection } = await database.#connected()
      await migrate(connection, options.address.shown)
      await database.#warnOfRisks(connection)
    })
    return database
  }

  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    await this.#last.catch(() => undefined)
    const live = this.#live
    this.#live = undefined
    try {
      if (live !== undefined) await atMost(CONNECT_DEADLINE, 'end of the connection', live.connection.end())
    } catch (error) {
      live?.connection.destroy()
      this.#options.log.debug({ reason: explainError(error) }, 'the database did not say goodbye')
    }
  }

  protected call<Name extends keyof DatabaseOperations>(
    operation: Name,
    ...args: Parameters<DatabaseOperations[Name]>
  ): ReturnType<DatabaseOperations[Name]> {
    const run = async () => {
      const { log } = await this.#connected()
      const method = log[operation] as (...all: unknown[]) => Promise<unknown>
      return await method.apply(log, args)
    }
    return this.#inTurn(operation, run) as ReturnType<DatabaseOperations[Name]>
  }

  /** Does one thing after everything that was asked before. @throws `Stopped`, `DatabaseRefused`, `DatabaseLost` */
  #inTurn<T>(operation: string, work: () => Promise<T>): Promise<T> {
    const { shown } = this.#options.address
    if (this.#stopped) return Promise.reject(storeErrors.Stopped({ object: shown }))
    const turn = this.#last
      .catch(() => undefined)
      .then(() => atMost(this.#options.deadline ?? DEFAULT_DEADLINE, `${operation} on ${shown}`, work()))
      .catch(error => this.#fail(error))
    this.#last = turn
    return turn
  }

  #fail(error: unknown): never {
    const { shown } = this.#options.address
    if (isRefusal(error)) {
      const { message, diskFull } = describeFailure(error)
      throw storeErrors.DatabaseRefused({
        object: shown,
        message,
        cause: error,
        ...(diskFull ? { status: 507 } : {}),
      })
    }
    if (error instanceof DroverError && !isDroverError(error, 'DeadlineExceeded')) throw error
    this.#abandon()
    throw storeErrors.DatabaseLost({ object: shown, cause: error })
  }

  #abandon(): void {
    if (this.#live === undefined) return
    this.#lost = this.#live.connection.threadId
    this.#live.connection.destroy()
    this.#live = undefined
  }

  async #connected(): Promise<Live> {
    if (this.#live !== undefined) return this.#live
    const { host, port, user, password, database } = this.#options.address
    const connection = await createConnection({
      host,
      port,
      user,
      password,
      database,
      connectTimeout: CONNECT_DEADLINE,
      maxPreparedStatements: STATEMENTS,
      // For whole transactions as one text, whose values are quoted as in any other.
      multipleStatements: true,
      // Numbers of BIGINT columns stay below 2^53.
      supportBigNumbers: true,
    })
    // What goes wrong between two requests is noticed by the next one.
    connection.on('error', error =>
      this.#options.log.debug({ reason: explainError(error) }, 'the connection broke off'),
    )
    try {
      await connection.query("SET SESSION sql_mode = 'STRICT_ALL_TABLES'")
      await connection.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED')
      await this.#endLost(connection)
    } catch (error) {
      connection.destroy()
      throw error
    }
    this.#live = { connection, log: new MysqlLog(connection) }
    return this.#live
  }

  async #endLost(connection: Connection): Promise<void> {
    if (this.#lost === undefined) return
    try {
      await connection.query(`KILL ${Math.trunc(this.#lost)}`)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === UNKNOWN_CONNECTION)) throw error
    }
    this.#options.log.warn({ database: this.#options.address.shown }, 'opened the database again')
    this.#lost = undefined
  }

  async #warnOfRisks(connection: Connection): Promise<void> {
    const [rows] = await connection.query('SELECT @@innodb_flush_log_at_trx_commit AS flush')
    const [{ flush } = { flush: 1 }] = rows as { flush: number }[]
    if (flush === 1) return
    this.#options.log.warn(
      { innodb_flush_log_at_trx_commit: flush },
      'the database acknowledges writes before they are on disk: set innodb_flush_log_at_trx_commit to 1',
    )
  }
}
