/** The store: which spaces there are, and the ones that are open. */
import { type Clock, isDroverError, KeyedLock, type Logger } from '../../kit/index.ts'
import { AutomaticCompaction } from './automatic-compaction.ts'
import type { Space, SpaceId, Store } from './contract.ts'
import type { Database, SpaceRow } from './database.ts'
import { storeErrors } from './errors.ts'
import { GroupCommit } from './group-commit.ts'
import type { HistoryRetention, StoreLimits } from './limits.ts'
import { parseSpaceId } from './object-key.ts'
import { loadSpace } from './space-loader.ts'
import { SpaceState } from './space-state.ts'
import { SqlSpace } from './sql-space.ts'
import { failedOperation } from './write-failure.ts'

/** Rows of a deleted space that one transaction removes. */
const PURGE_STEP = 2_000

export interface SqlStoreOptions {
  readonly database: Database
  readonly clock: Clock
  readonly log: Logger
  readonly limits: StoreLimits
  readonly retention: HistoryRetention
}

export class SqlStore implements Store {
  readonly #options: SqlStoreOptions
  readonly #names: Set<SpaceId>
  readonly #open = new Map<SpaceId, SqlSpace>()
  /** Making, opening and deleting one space happen one after the other. */
  readonly #turns = new KeyedLock('space', 10_000)
  readonly #commits: GroupCommit
  readonly #compaction: AutomaticCompaction
  #purging: Promise<void> | undefined
  #stopping: Promise<void> | undefined

  private constructor(options: SqlStoreOptions, names: readonly SpaceId[]) {
    this.#options = options
    this.#names = new Set(names)
    this.#commits = new GroupCommit(options)
    this.#compaction = new AutomaticCompaction({
      ...options,
      spaces: () => this.#open.values(),
      find: id => this.#open.get(id),
    })
  }

  /** Starts a store on a database, which it stops when it is stopped. */
  static async start(options: SqlStoreOptions): Promise<SqlStore> {
    const store = new SqlStore(options, await options.database.listSpaces())
    store.#compaction.start()
    store.#purge()
    return store
  }

  spaces(): readonly SpaceId[] {
    return [...this.#names].sort()
  }

  createSpace(id: SpaceId): Promise<Space> {
    return this.#inTurn(id, async () => {
      const row = await this.#ask(id, this.#options.database.createSpace(parseSpaceId(id)))
      this.#names.add(id)
      if (row === undefined) throw storeErrors.AlreadyExists({ object: `space ${id}` })
      return this.#openRow(row, new SpaceState(0, this.#options.limits.recent))
    })
  }

  openSpace(id: SpaceId): Promise<Space> {
    return this.#inTurn(id, async () => {
      const open = this.#open.get(id)
      return open === undefined || open.closed ? await this.#load(id) : open
    })
  }

  releaseSpace(id: SpaceId): Promise<void> {
    return this.#inTurn(id, async () => {
      const space = this.#open.get(id)
      if (space === undefined) return
      space.close(this.#stopped(id))
      await space.settled()
      this.#open.delete(id)
    })
  }

  deleteSpace(id: SpaceId): Promise<void> {
    return this.#inTurn(id, async () => {
      const found = await this.#ask(id, this.#options.database.deleteSpace(id))
      const missing = storeErrors.NotFound({ object: `space ${id}` })
      this.#names.delete(id)
      this.#open.get(id)?.close(missing)
      this.#open.delete(id)
      if (!found) throw missing
      this.#purge()
    })
  }

  /** Finishes the accepted writes, ends every watch, closes the database. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    // Both refuse anything new at once.
    await Promise.all([this.#commits.stop(), this.#compaction.stop()])
    for (const space of this.#open.values()) {
      space.close(this.#stopped(space.id))
    }
    await this.#purging
    await this.#options.database.stop()
  }

  async #load(id: SpaceId): Promise<SqlSpace> {
    const { database, limits } = this.#options
    const row = await this.#ask(id, database.acquireSpace(id))
    if (row === undefined) throw storeErrors.NotFound({ object: `space ${id}` })
    return this.#openRow(row, await this.#ask(id, loadSpace(database, row, limits.recent)))
  }

  #openRow(row: SpaceRow, state: SpaceState): SqlSpace {
    const { database, clock, limits } = this.#options
    const space = new SqlSpace({ row, state, database, commits: this.#commits, clock, limits })
    this.#names.add(row.id)
    this.#open.set(row.id, space)
    if (this.#stopping !== undefined) space.close(this.#stopped(row.id))
    return space
  }

  async #ask<T>(id: SpaceId, answer: Promise<T>): Promise<T> {
    try {
      return await answer
    } catch (error) {
      throw failedOperation(id, error)
    }
  }

  async #inTurn<T>(id: SpaceId, work: () => Promise<T>): Promise<T> {
    if (this.#stopping !== undefined) throw this.#stopped(id)
    return await this.#turns.run(id, work)
  }

  #stopped(id: SpaceId) {
    return storeErrors.Stopped({ object: `space ${id}` })
  }

  /** Removes what deleted spaces left behind, beside the writes of the others. */
  #purge(): void {
    this.#purging ??= this.#purgeAll().finally(() => {
      this.#purging = undefined
    })
  }

  async #purgeAll(): Promise<void> {
    const { database, log } = this.#options
    try {
      while (this.#stopping === undefined && (await database.purge(PURGE_STEP)));
    } catch (error) {
      // The next deletion or start goes on where this ended.
      if (!isDroverError(error, 'Stopped')) log.warn({ err: error }, 'could not purge deleted spaces')
    }
  }
}
