/** The database contract as one call by name: for engines that ask somebody else to do it. */
import type { SpaceId } from './contract.ts'
import type {
  CommitOutcome,
  CompactionStep,
  Database,
  HistoryPage,
  HistoryQuery,
  LoadPage,
  PageLimit,
  SpaceCommit,
  SpaceRow,
} from './database.ts'

/** Everything but the end of it. */
export type DatabaseOperations = Omit<Database, 'stop'>

export abstract class DatabaseCalls implements Database {
  listSpaces(): Promise<readonly SpaceId[]> {
    return this.call('listSpaces')
  }

  createSpace(id: SpaceId): Promise<SpaceRow | undefined> {
    return this.call('createSpace', id)
  }

  acquireSpace(id: SpaceId): Promise<SpaceRow | undefined> {
    return this.call('acquireSpace', id)
  }

  readSpace(key: number): Promise<SpaceRow | undefined> {
    return this.call('readSpace', key)
  }

  deleteSpace(id: SpaceId): Promise<boolean> {
    return this.call('deleteSpace', id)
  }

  purge(rows: number): Promise<boolean> {
    return this.call('purge', rows)
  }

  loadSpace(key: number, after: number, limit: PageLimit): Promise<LoadPage> {
    return this.call('loadSpace', key, after, limit)
  }

  commit(commits: readonly SpaceCommit[]): Promise<readonly CommitOutcome[]> {
    return this.call('commit', commits)
  }

  readHistory(query: HistoryQuery): Promise<HistoryPage> {
    return this.call('readHistory', query)
  }

  compact(step: CompactionStep): Promise<number | undefined> {
    return this.call('compact', step)
  }

  abstract stop(): Promise<void>

  /** Does one of the operations. @throws `Stopped`, `DatabaseRefused`, `DatabaseLost` */
  protected abstract call<Name extends keyof DatabaseOperations>(
    operation: Name,
    ...args: Parameters<DatabaseOperations[Name]>
  ): ReturnType<DatabaseOperations[Name]>
}
