/** The database contract on one connection to MySQL or MariaDB. Its caller asks one thing after the other. */
import type { Connection, ResultSetHeader, RowDataPacket } from 'mysql2/promise'
import type { SpaceId } from '../contract.ts'
import type {
  CommitOutcome,
  CompactionStep,
  HistoryPage,
  HistoryQuery,
  HistoryRow,
  LoadPage,
  LogRow,
  PageLimit,
  SpaceCommit,
  SpaceRow,
} from '../database.ts'
import type { DatabaseOperations } from '../database-calls.ts'
import { describeFailure, isMissingValue, isRefusal } from './failure.ts'

type Values = readonly (string | number | Buffer)[]

interface SpaceRecord extends RowDataPacket {
  readonly key: number
  readonly id: Buffer
  readonly revision: number
  readonly compacted: number
  readonly epoch: number
}

interface LogRecord extends RowDataPacket {
  readonly revision: number
  readonly kind: Buffer
  readonly namespace: Buffer
  readonly name: Buffer
  readonly previous: number
  readonly created: number
  readonly deleted: number
  readonly time: number
  readonly value: string
  readonly previousValue?: string
}

const LOG_COLUMNS = 'revision, kind, namespace, name, previous, created, deleted, time, value'
const SPACE_COLUMNS = '`key`, id, revision, compacted, epoch'
/** Characters of JSON in one INSERT: servers take 16 MiB, and text can double when it is quoted. */
const INSERT_LENGTH = 4 * 1024 * 1024
/** Rows that one question of a page asks for: a page is bounded by bytes that only the rows themselves know. */
const PAGE_ROWS = 500

function spaceRow(record: SpaceRecord): SpaceRow {
  return {
    key: record.key,
    id: record.id.toString('latin1') as SpaceId,
    revision: record.revision,
    compactedRevision: record.compacted,
    epoch: record.epoch,
  }
}

function logRow(record: LogRecord): LogRow {
  return {
    revision: record.revision,
    kind: record.kind.toString('utf8'),
    namespace: record.namespace.toString('utf8'),
    name: record.name.toString('utf8'),
    previousRevision: record.previous,
    createdRevision: record.created,
    deleted: record.deleted === 1,
    time: record.time,
    json: record.value,
  }
}

/** What a row puts into `LOG_COLUMNS`. */
function rowValues(row: LogRow): (string | number | Buffer)[] {
  return [
    row.revision,
    Buffer.from(row.kind),
    Buffer.from(row.namespace),
    Buffer.from(row.name),
    row.previousRevision,
    row.createdRevision,
    row.deleted ? 1 : 0,
    row.time,
    row.json,
  ]
}

/** Whether rows fit into one INSERT. */
function isShort(rows: readonly LogRow[]): boolean {
  let length = 0
  for (const { json } of rows) length += json.length
  return length <= INSERT_LENGTH && rows.length > 0
}

/** Rows in pieces of a bounded length, or of one row. */
function* inPieces(rows: readonly LogRow[]): Generator<readonly LogRow[]> {
  let start = 0
  let length = 0
  for (const [index, row] of rows.entries()) {
    if (index > start && length + row.json.length > INSERT_LENGTH) {
      yield rows.slice(start, index)
      start = index
      length = 0
    }
    length += row.json.length
  }
  if (start < rows.length) yield rows.slice(start)
}

/** Cuts rows off where a bound is reached; `complete` when it was the rows that ended. */
function takePage<T>(
  rows: readonly T[],
  limit: PageLimit,
  sizeOf: (row: T) => number,
): { page: T[]; complete: boolean } {
  let bytes = 0
  for (const [index, row] of rows.entries()) {
    bytes += sizeOf(row)
    if (index + 1 >= limit.rows || bytes >= limit.bytes) {
      return { page: rows.slice(0, index + 1), complete: false }
    }
  }
  return { page: [...rows], complete: true }
}

export class MysqlLog implements DatabaseOperations {
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  async listSpaces(): Promise<SpaceId[]> {
    const rows = await this.#select<SpaceRecord>('SELECT id FROM space WHERE id IS NOT NULL ORDER BY id')
    return rows.map(({ id }) => id.toString('latin1') as SpaceId)
  }

  async createSpace(id: SpaceId): Promise<SpaceRow | undefined> {
    const { affectedRows } = await this.#change(
      'INSERT IGNORE INTO space (id, revision, compacted, epoch) VALUES (?, 0, 0, 1)',
      id,
    )
    return affectedRows === 1 ? await this.#spaceNamed(id) : undefined
  }

  async acquireSpace(id: SpaceId): Promise<SpaceRow | undefined> {
    return await this.#transaction(async () => {
      await this.#change('UPDATE space SET epoch = epoch + 1 WHERE id = ?', id)
      return await this.#spaceNamed(id)
    })
  }

  async readSpace(key: number): Promise<SpaceRow | undefined> {
    // With a lock: a transaction of a connection that was lost may still be about to end, and has to end first.
    const [row] = await this.#select<SpaceRecord>(
      `SELECT ${SPACE_COLUMNS} FROM space WHERE \`key\` = ? AND id IS NOT NULL FOR UPDATE`,
      key,
    )
    return row && spaceRow(row)
  }

  async deleteSpace(id: SpaceId): Promise<boolean> {
    const { affectedRows } = await this.#change(
      'UPDATE space SET id = NULL, epoch = epoch + 1 WHERE id = ?',
      id,
    )
    return affectedRows === 1
  }

  async purge(rows: number): Promise<boolean> {
    const [deleted] = await this.#select<SpaceRecord>('SELECT `key` FROM space WHERE id IS NULL LIMIT 1')
    if (deleted === undefined) return false
    return await this.#transaction(async () => {
      const { affectedRows } = await this.#change(
        'DELETE FROM log WHERE space = ? LIMIT ?',
        deleted.key,
        String(rows),
      )
      if (affectedRows < rows)
        await this.#change('DELETE FROM space WHERE `key` = ? AND id IS NULL', deleted.key)
      return true
    })
  }

  async loadSpace(key: number, after: number, limit: PageLimit): Promise<LoadPage> {
    const asked = Math.min(limit.rows, PAGE_ROWS)
    const records = await this.#select<LogRecord>(
      `SELECT ${LOG_COLUMNS} FROM log WHERE space = ? AND revision > ? ORDER BY revision LIMIT ?`,
      key,
      after,
      String(asked),
    )
    const { page, complete } = takePage(records.map(logRow), limit, row => row.json.length)
    return { rows: page, done: complete && records.length < asked }
  }

  async commit(commits: readonly SpaceCommit[]): Promise<CommitOutcome[]> {
    const [first] = commits
    if (first !== undefined && commits.length === 1 && isShort(first.rows)) {
      return [await this.#commitAlone(first)]
    }
    return await this.#transaction(async () => {
      const outcomes: CommitOutcome[] = []
      for (const commit of commits) outcomes.push(await this.#commitSpace(commit, commits.length > 1))
      return outcomes
    })
  }

  async readHistory(query: HistoryQuery): Promise<HistoryPage> {
    const { space, kind, namespace, after, upTo, limit } = query
    // Revisions have no gap after the compacted one, so a range of them is a bound of the rows that are looked at.
    const last = Math.min(upTo, after + Math.min(limit.rows, PAGE_ROWS))
    const conditions = [
      ...(kind === undefined ? [] : ['AND l.kind = ?']),
      ...(namespace === undefined ? [] : ['AND l.namespace = ?']),
    ].join(' ')
    const records = await this.#select<LogRecord>(
      `SELECT l.*, coalesce(p.value, '') AS previousValue
       FROM log AS l LEFT JOIN log AS p ON p.space = l.space AND p.revision = l.previous
       WHERE l.space = ? AND l.revision > ? AND l.revision <= ? ${conditions} ORDER BY l.revision`,
      space,
      after,
      last,
      ...[kind, namespace].filter(value => value !== undefined).map(value => Buffer.from(value)),
    )
    const rows = records.map(
      (record): HistoryRow => ({ ...logRow(record), previousJson: record.previousValue ?? '' }),
    )
    const { page, complete } = takePage(rows, limit, row => row.json.length + row.previousJson.length)
    const [row] = await this.#select<SpaceRecord>(
      `SELECT ${SPACE_COLUMNS} FROM space WHERE \`key\` = ? AND id IS NOT NULL`,
      space,
    )
    return {
      rows: page,
      upTo: complete ? last : (page.at(-1)?.revision ?? last),
      compactedRevision: row === undefined ? Number.POSITIVE_INFINITY : row.compacted,
    }
  }

  async compact(step: CompactionStep): Promise<number | undefined> {
    return await this.#transaction(async () => {
      const row = await this.readSpace(step.space)
      if (row === undefined || row.epoch !== step.epoch) return undefined
      const from = row.compactedRevision
      const to = Math.min(from + step.revisions, step.upTo, row.revision)
      if (to <= from || !(await this.#isOldEnough(step, to))) return from
      await this.#forget(step.space, from, to)
      return to
    })
  }

  async #spaceNamed(id: SpaceId): Promise<SpaceRow | undefined> {
    const [row] = await this.#select<SpaceRecord>(`SELECT ${SPACE_COLUMNS} FROM space WHERE id = ?`, id)
    return row && spaceRow(row)
  }

  /**
   * The whole transaction as one text: on the way to a database that is not busy, most of the time of a commit is the way.
   * The first row is impossible when the space is not ours, which ends the text.
   */
  async #commitAlone({ space, epoch, from, rows }: SpaceCommit): Promise<CommitOutcome> {
    const next = from + rows.length
    const [first = [], ...others] = rows.map(rowValues)
    try {
      await this.#connection.query(
        `START TRANSACTION;
         UPDATE space SET revision = ? WHERE \`key\` = ? AND revision = ? AND epoch = ? AND id IS NOT NULL;
         INSERT INTO log (space, ${LOG_COLUMNS}) VALUES (IF(ROW_COUNT() = 1, ?, NULL), ?)${others.length === 0 ? '' : ', ?'};
         COMMIT`,
        [
          ...[next, space, from, epoch, space, first],
          ...(others.length === 0 ? [] : [others.map(values => [space, ...values])]),
        ],
      )
      return { status: 'committed' }
    } catch (error) {
      if (!isRefusal(error)) throw error
      await this.#run('ROLLBACK')
      if (isMissingValue(error)) return { status: 'fenced' }
      throw error
    }
  }

  async #commitSpace({ space, epoch, from, rows }: SpaceCommit, besides: boolean): Promise<CommitOutcome> {
    // A transaction of one space is taken back as a whole.
    if (besides) await this.#run('SAVEPOINT one_space')
    try {
      const { affectedRows } = await this.#change(
        'UPDATE space SET revision = ? WHERE `key` = ? AND revision = ? AND epoch = ? AND id IS NOT NULL',
        from + rows.length,
        space,
        from,
        epoch,
      )
      if (affectedRows !== 1) return { status: 'fenced' }
      await this.#insert(space, rows)
      return { status: 'committed' }
    } catch (error) {
      if (!isRefusal(error) || !besides) throw error
      await this.#run('ROLLBACK TO SAVEPOINT one_space')
      return { status: 'refused', failure: describeFailure(error) }
    }
  }

  /** One statement for many rows, as text: a prepared one for every number of rows would be many statements. */
  async #insert(space: number, rows: readonly LogRow[]): Promise<void> {
    for (const piece of inPieces(rows)) {
      const values = piece.map(row => [space, ...rowValues(row)])
      await this.#connection.query(`INSERT INTO log (space, ${LOG_COLUMNS}) VALUES ?`, [values])
    }
  }

  async #isOldEnough({ space, writtenBefore }: CompactionStep, revision: number): Promise<boolean> {
    if (writtenBefore === undefined) return true
    const sql = 'SELECT time FROM log WHERE space = ? AND revision = ?'
    const [row] = await this.#select<LogRecord>(sql, space, revision)
    return row !== undefined && row.time <= writtenBefore
  }

  /** Removes what was replaced or deleted in a range of revisions that follows the compacted one. */
  async #forget(space: number, from: number, to: number): Promise<void> {
    await this.#change(
      `DELETE old FROM log AS old JOIN log AS young ON young.space = old.space AND young.previous = old.revision
       WHERE young.space = ? AND young.revision > ? AND young.revision <= ? AND young.previous > 0`,
      space,
      from,
      to,
    )
    await this.#change(
      'DELETE FROM log WHERE space = ? AND revision > ? AND revision <= ? AND deleted = 1',
      space,
      from,
      to,
    )
    await this.#change('UPDATE space SET compacted = ? WHERE `key` = ?', to, space)
  }

  async #transaction<T>(work: () => Promise<T>): Promise<T> {
    await this.#run('START TRANSACTION')
    let result: T
    try {
      result = await work()
    } catch (error) {
      if (isRefusal(error)) await this.#run('ROLLBACK')
      throw error
    }
    await this.#run('COMMIT')
    return result
  }

  async #run(sql: string): Promise<void> {
    await this.#connection.query(sql)
  }

  async #select<Row extends RowDataPacket>(sql: string, ...values: Values): Promise<Row[]> {
    const [rows] = await this.#connection.execute<Row[]>(sql, [...values])
    return rows
  }

  async #change(sql: string, ...values: Values): Promise<ResultSetHeader> {
    const [header] = await this.#connection.execute<ResultSetHeader>(sql, [...values])
    return header
  }
}
