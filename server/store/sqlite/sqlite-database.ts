/** The database contract on SQLite: hands every operation to a worker thread, and replaces the thread when it is lost. */
import { Worker } from 'node:worker_threads'
import {
  atMost,
  type DroverError,
  explainError,
  isDroverError,
  kitErrors,
  type Logger,
} from '../../../kit/index.ts'
import { DatabaseCalls, type DatabaseOperations } from '../database-calls.ts'
import { storeErrors } from '../errors.ts'
import type { Reply, Request, WorkerOptions } from './messages.ts'
import type { SqliteOperations } from './sqlite-log.ts'

export interface SqliteDatabaseOptions {
  /** Path of the file; made when missing. */
  readonly file: string
  readonly log: Logger
  /** Longest time that one operation may take, in milliseconds. Default 30 000. */
  readonly deadline?: number
}

const DEFAULT_DEADLINE = 30_000

type UnusableReply = Extract<Reply, { type: 'unusable' }>

function unusableError(file: string, { reason, message }: UnusableReply): DroverError {
  const details = { object: file, message }
  switch (reason) {
    case 'newer':
      return kitErrors.NewerVersion(details)
    case 'foreign':
      return kitErrors.CorruptFile({ ...details, mend: 'name another file' })
    case 'corrupt':
      return kitErrors.CorruptFile({ ...details, mend: 'restore the file from a backup' })
    case 'unavailable':
      return storeErrors.DatabaseRefused(details)
  }
}

/** One worker thread from its start to its end. */
class WorkerConnection {
  readonly #file: string
  readonly #worker: Worker
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  readonly #ready = Promise.withResolvers<void>()
  readonly #exited = Promise.withResolvers<void>()
  #lastId = 0
  #alive = true

  constructor(file: string) {
    this.#file = file
    const workerData: WorkerOptions = { file }
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData, name: 'store' })
    this.#worker.on('message', (reply: Reply) => this.#receive(reply))
    this.#worker.on('error', error => this.#lose(explainError(error)))
    this.#worker.on('exit', code => {
      this.#lose(`the database's thread ended with ${code}`)
      this.#exited.resolve()
    })
    // Whoever waits for it gets the reason; without anyone waiting it is no unhandled rejection.
    this.#ready.promise.catch(() => undefined)
  }

  /** Resolves when the file is open. */
  get ready(): Promise<void> {
    return this.#ready.promise
  }

  /** Resolves when nothing of the thread runs any more. */
  get exited(): Promise<void> {
    return this.#exited.promise
  }

  get alive(): boolean {
    return this.#alive
  }

  call(operation: keyof SqliteOperations, args: readonly unknown[]): Promise<unknown> {
    this.#lastId += 1
    const waiting = Promise.withResolvers<unknown>()
    this.#waiting.set(this.#lastId, waiting)
    this.#worker.postMessage({ id: this.#lastId, operation, args } satisfies Request)
    return waiting.promise
  }

  /** Ends the thread. What it was asked and did not answer may have been done or not. */
  abandon(reason: string): void {
    this.#lose(reason)
    void this.#worker.terminate()
  }

  #receive(reply: Reply): void {
    switch (reply.type) {
      case 'ready':
        this.#ready.resolve()
        return
      case 'unusable':
        this.#ready.reject(unusableError(this.#file, reply))
        return
      case 'result':
        this.#take(reply.id)?.resolve(reply.value)
        return
      case 'refused': {
        const { message, diskFull } = reply.failure
        const details = { object: this.#file, message, ...(diskFull ? { status: 507 } : {}) }
        this.#take(reply.id)?.reject(storeErrors.DatabaseRefused(details))
        return
      }
      case 'unknown':
        this.abandon(reply.message)
    }
  }

  #take(id: number): PromiseWithResolvers<unknown> | undefined {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    return waiting
  }

  #lose(message: string): void {
    this.#alive = false
    const error = storeErrors.DatabaseLost({ object: this.#file, message })
    this.#ready.reject(error)
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}

export class SqliteDatabase extends DatabaseCalls {
  readonly #file: string
  readonly #log: Logger
  readonly #deadline: number
  #connection: WorkerConnection
  #stopped = false

  private constructor({ file, log, deadline }: SqliteDatabaseOptions) {
    super()
    this.#file = file
    this.#log = log
    this.#deadline = deadline ?? DEFAULT_DEADLINE
    this.#connection = new WorkerConnection(file)
  }

  /** @throws `CorruptFile`, `NewerVersion`, `DatabaseRefused` when the file cannot be opened, `DatabaseLost` */
  static async open(options: SqliteDatabaseOptions): Promise<SqliteDatabase> {
    const database = new SqliteDatabase(options)
    await database.#connected()
    return database
  }

  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    const connection = this.#connection
    if (connection.alive) {
      await this.#inTime(connection, 'stop', connection.call('stop', [])).catch((error: unknown) => {
        // The file is whole without it: the next one to open it does what is left to do.
        this.#log.warn({ err: error }, 'the database did not close cleanly')
      })
    }
    await this.#gone(connection)
  }

  protected call<Name extends keyof DatabaseOperations>(
    operation: Name,
    ...args: Parameters<DatabaseOperations[Name]>
  ): ReturnType<DatabaseOperations[Name]> {
    return this.#ask(operation, args) as ReturnType<DatabaseOperations[Name]>
  }

  async #ask(operation: keyof DatabaseOperations, args: readonly unknown[]): Promise<unknown> {
    if (this.#stopped) throw storeErrors.Stopped({ object: this.#file })
    const connection = await this.#connected()
    return await this.#inTime(connection, operation, connection.call(operation, args))
  }

  /** The present connection, or a new one once nothing of a lost one can still reach the file. */
  async #connected(): Promise<WorkerConnection> {
    if (!this.#connection.alive) {
      const lost = this.#connection
      await this.#gone(lost)
      if (this.#connection === lost) {
        this.#log.warn({ file: this.#file }, 'opens the database again')
        this.#connection = new WorkerConnection(this.#file)
      }
    }
    const connection = this.#connection
    await this.#inTime(connection, 'open', connection.ready)
    return connection
  }

  async #gone(lost: WorkerConnection): Promise<void> {
    try {
      await atMost(this.#deadline, this.#file, lost.exited)
    } catch (cause) {
      throw storeErrors.DatabaseLost({ object: this.#file, cause })
    }
  }

  async #inTime<T>(connection: WorkerConnection, operation: string, answer: Promise<T>): Promise<T> {
    try {
      return await atMost(this.#deadline, `${operation} on ${this.#file}`, answer)
    } catch (error) {
      if (!isDroverError(error, 'DeadlineExceeded')) throw error
      // A thread that does not answer could still do it at any later time: it must end before anything else happens.
      connection.abandon(explainError(error))
      throw storeErrors.DatabaseLost({ object: this.#file, cause: error })
    }
  }
}
