/** The database contract on one SQLite connection, synchronous: it runs in the worker thread. */
import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite'
import type { SpaceId } from '../contract.ts'
import type {
  CommitOutcome,
  CompactionStep,
  Database,
  HistoryPage,
  HistoryQuery,
  HistoryRow,
  LoadPage,
  LogRow,
  PageLimit,
  SpaceCommit,
  SpaceRow,
} from '../database.ts'
import { commitFailure, describeFailure } from './failure.ts'

/** The same operations without promises. */
type Synchronous<Contract> = {
  [Name in keyof Contract]: Contract[Name] extends (...args: infer Args) => Promise<infer Result>
    ? (...args: Args) => Result
    : never
}

/** What the worker thread can be asked. */
export type SqliteOperations = Synchronous<Database>

type Row = Record<string, SQLOutputValue>

const LOG_COLUMNS = 'revision, kind, namespace, name, previous, created, deleted, time, value'

// The tables are STRICT: SQLite itself guarantees the type of each column.
function spaceRow(row: Row): SpaceRow {
  return {
    key: row.key as number,
    id: row.id as SpaceId,
    revision: row.revision as number,
    compactedRevision: row.compacted as number,
    epoch: row.epoch as number,
  }
}

function logRow(row: Row): LogRow {
  return {
    revision: row.revision as number,
    kind: row.kind as string,
    namespace: row.namespace as string,
    name: row.name as string,
    previousRevision: row.previous as number,
    createdRevision: row.created as number,
    deleted: row.deleted === 1,
    time: row.time as number,
    json: row.value as string,
  }
}

/** Takes rows until a bound is reached; `complete` when it was the rows that ended. */
function takePage<T>(
  rows: Iterable<Row>,
  limit: PageLimit,
  convert: (row: Row) => T,
  sizeOf: (row: T) => number,
): { page: T[]; complete: boolean } {
  const page: T[] = []
  let bytes = 0
  for (const row of rows) {
    const converted = convert(row)
    page.push(converted)
    bytes += sizeOf(converted)
    if (page.length >= limit.rows || bytes >= limit.bytes) return { page, complete: false }
  }
  return { page, complete: true }
}

export class SqliteLog implements SqliteOperations {
  readonly #database: DatabaseSync
  readonly #advance: StatementSync
  readonly #insert: StatementSync
  readonly #load: StatementSync
  readonly #statements = new Map<string, StatementSync>()

  constructor(database: DatabaseSync) {
    this.#database = database
    this.#advance = database.prepare(
      'UPDATE space SET revision = ? WHERE key = ? AND revision = ? AND epoch = ? AND id IS NOT NULL',
    )
    this.#insert = database.prepare(`INSERT INTO log (space, ${LOG_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)`)
    this.#load = database.prepare(
      `SELECT ${LOG_COLUMNS} FROM log WHERE space = ? AND revision > ? ORDER BY revision`,
    )
  }

  listSpaces(): SpaceId[] {
    const rows = this.#prepared('SELECT id FROM space WHERE id IS NOT NULL ORDER BY id').all()
    return rows.map(row => row.id as SpaceId)
  }

  createSpace(id: SpaceId): SpaceRow | undefined {
    const row = this.#prepared(
      'INSERT INTO space (id, revision, compacted, epoch) VALUES (?, 0, 0, 1) ON CONFLICT DO NOTHING RETURNING *',
    ).get(id)
    return row && spaceRow(row)
  }

  acquireSpace(id: SpaceId): SpaceRow | undefined {
    const row = this.#prepared('UPDATE space SET epoch = epoch + 1 WHERE id = ? RETURNING *').get(id)
    return row && spaceRow(row)
  }

  readSpace(key: number): SpaceRow | undefined {
    const row = this.#prepared('SELECT * FROM space WHERE key = ? AND id IS NOT NULL').get(key)
    return row && spaceRow(row)
  }

  deleteSpace(id: SpaceId): boolean {
    return this.#prepared('UPDATE space SET id = NULL, epoch = epoch + 1 WHERE id = ?').run(id).changes === 1
  }

  purge(rows: number): boolean {
    const deleted = this.#prepared('SELECT key FROM space WHERE id IS NULL LIMIT 1').get()
    if (deleted === undefined) return false
    return this.#transaction(() => {
      const { changes } = this.#prepared(
        'DELETE FROM log WHERE rowid IN (SELECT rowid FROM log WHERE space = ? LIMIT ?)',
      ).run(deleted.key as number, rows)
      if (Number(changes) < rows) this.#prepared('DELETE FROM space WHERE key = ?').run(deleted.key as number)
      return true
    })
  }

  loadSpace(key: number, after: number, limit: PageLimit): LoadPage {
    const { page, complete } = takePage(this.#load.iterate(key, after), limit, logRow, row => row.json.length)
    return { rows: page, done: complete }
  }

  commit(commits: readonly SpaceCommit[]): CommitOutcome[] {
    return this.#transaction(() => commits.map(commit => this.#commitSpace(commit)))
  }

  readHistory(query: HistoryQuery): HistoryPage {
    const { space, kind, namespace, after, upTo, limit } = query
    // Revisions have no gap after the compacted one, so a range of them is a bound of the rows that are looked at.
    const last = Math.min(upTo, after + limit.rows)
    const conditions = [
      ...(kind === undefined ? [] : ['AND l.kind = ?']),
      ...(namespace === undefined ? [] : ['AND l.namespace = ?']),
    ].join(' ')
    const statement = this.#prepared(
      `SELECT l.*, coalesce(p.value, '') AS previousValue
       FROM log AS l LEFT JOIN log AS p ON p.space = l.space AND p.revision = l.previous
       WHERE l.space = ? AND l.revision > ? AND l.revision <= ? ${conditions} ORDER BY l.revision`,
    )
    const { page, complete } = takePage<HistoryRow>(
      statement.iterate(space, after, last, ...[kind, namespace].filter(value => value !== undefined)),
      limit,
      row => ({ ...logRow(row), previousJson: row.previousValue as string }),
      row => row.json.length + row.previousJson.length,
    )
    return {
      rows: page,
      upTo: complete ? last : (page.at(-1)?.revision ?? last),
      compactedRevision: this.readSpace(space)?.compactedRevision ?? Number.POSITIVE_INFINITY,
    }
  }

  compact(step: CompactionStep): number | undefined {
    return this.#transaction(() => {
      const row = this.readSpace(step.space)
      if (row === undefined || row.epoch !== step.epoch) return undefined
      const from = row.compactedRevision
      const to = Math.min(from + step.revisions, step.upTo, row.revision)
      if (to <= from || !this.#isOldEnough(step, to)) return from
      this.#forget(step.space, from, to)
      return to
    })
  }

  stop(): void {
    this.#database.close()
  }

  #commitSpace({ space, epoch, from, rows }: SpaceCommit): CommitOutcome {
    this.#database.exec('SAVEPOINT one_space')
    try {
      const { changes } = this.#advance.run(from + rows.length, space, from, epoch)
      if (changes === 1) {
        for (const row of rows) this.#insertRow(space, row)
      }
      this.#database.exec('RELEASE one_space')
      return { status: changes === 1 ? 'committed' : 'fenced' }
    } catch (error) {
      // Some failures, a full disk for one, take the whole transaction back.
      if (!this.#database.isTransaction) throw error
      this.#database.exec('ROLLBACK TO one_space')
      this.#database.exec('RELEASE one_space')
      return { status: 'refused', failure: describeFailure(error) }
    }
  }

  #insertRow(space: number, row: LogRow): void {
    this.#insert.run(
      space,
      row.revision,
      row.kind,
      row.namespace,
      row.name,
      row.previousRevision,
      row.createdRevision,
      row.deleted ? 1 : 0,
      row.time,
      row.json,
    )
  }

  #isOldEnough({ space, writtenBefore }: CompactionStep, revision: number): boolean {
    if (writtenBefore === undefined) return true
    const row = this.#prepared('SELECT time FROM log WHERE space = ? AND revision = ?').get(space, revision)
    return row !== undefined && (row.time as number) <= writtenBefore
  }

  /** Removes what was replaced or deleted in a range of revisions that follows the compacted one. */
  #forget(space: number, from: number, to: number): void {
    this.#prepared(
      `DELETE FROM log WHERE space = ?1 AND revision IN
         (SELECT previous FROM log WHERE space = ?1 AND revision > ?2 AND revision <= ?3 AND previous > 0)`,
    ).run(space, from, to)
    this.#prepared('DELETE FROM log WHERE space = ? AND revision > ? AND revision <= ? AND deleted = 1').run(
      space,
      from,
      to,
    )
    this.#prepared('UPDATE space SET compacted = ? WHERE key = ?').run(to, space)
  }

  #prepared(sql: string): StatementSync {
    const present = this.#statements.get(sql)
    if (present !== undefined) return present
    const statement = this.#database.prepare(sql)
    this.#statements.set(sql, statement)
    return statement
  }

  #transaction<T>(work: () => T): T {
    this.#database.exec('BEGIN IMMEDIATE')
    let result: T
    try {
      result = work()
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw error
    }
    try {
      this.#database.exec('COMMIT')
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw commitFailure(error)
    }
    return result
  }
}
