/** The tables in MySQL or MariaDB, and how a database of an older version gets them. */
import type { Connection, RowDataPacket } from 'mysql2/promise'
import { kitErrors } from '../../../kit/index.ts'

/**
 * Each step brings a database from the version that is its index to the next one. Steps are never changed, only added.
 *
 * Names are bytes, because text is compared differently by every server. Numbers of spaces are never used again: InnoDB
 * keeps its counter on disk (MariaDB 10.2, MySQL 8).
 */
const MIGRATIONS: readonly (readonly string[])[] = [
  [
    `CREATE TABLE space (
      \`key\` BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
      id VARBINARY(63) NULL UNIQUE COMMENT 'NULL once the space is deleted, until its log is gone',
      revision BIGINT UNSIGNED NOT NULL,
      compacted BIGINT UNSIGNED NOT NULL,
      epoch BIGINT UNSIGNED NOT NULL COMMENT 'whoever writes with an older one is refused',
      holder VARBINARY(255) NULL COMMENT 'the server that runs the controllers of the space',
      lease_until BIGINT UNSIGNED NULL COMMENT 'milliseconds since 1970'
    ) ENGINE=InnoDB`,
    `CREATE TABLE log (
      space BIGINT UNSIGNED NOT NULL,
      revision BIGINT UNSIGNED NOT NULL,
      kind VARBINARY(512) NOT NULL,
      namespace VARBINARY(2048) NOT NULL,
      name VARBINARY(2048) NOT NULL,
      previous BIGINT UNSIGNED NOT NULL COMMENT 'the revision it replaced, 0 when it created the object',
      created BIGINT UNSIGNED NOT NULL COMMENT 'the revision that created the object',
      deleted TINYINT UNSIGNED NOT NULL,
      time BIGINT NOT NULL COMMENT 'milliseconds since 1970',
      value LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
      PRIMARY KEY (space, revision)
    ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC`,
  ],
]

export const SCHEMA_VERSION = MIGRATIONS.length

/** Held while tables are made, so that two servers that start together do it once. */
const LOCK = 'drover schema'
/** Seconds to wait for the other one. */
const LOCK_PATIENCE = 20

interface Cell extends RowDataPacket {
  readonly value: number | string | null
}

async function one(
  connection: Connection,
  sql: string,
  ...values: (string | number)[]
): Promise<Cell['value']> {
  const [[row]] = await connection.query<Cell[]>(sql, values)
  return row?.value ?? null
}

async function isThere(connection: Connection, table: string): Promise<boolean> {
  const sql =
    'SELECT count(*) AS value FROM information_schema.tables WHERE table_schema = database() AND table_name = ?'
  return Number(await one(connection, sql, table)) > 0
}

async function presentVersion(connection: Connection): Promise<number> {
  if (!(await isThere(connection, 'drover_schema'))) return 0
  return Number((await one(connection, 'SELECT max(version) AS value FROM drover_schema')) ?? 0)
}

/**
 * Brings the tables to this version; waits for nobody when nothing is to be done.
 *
 * @throws `NewerVersion` when a newer version made them; `CorruptFile` when another program uses the database
 */
export async function migrate(connection: Connection, shown: string): Promise<void> {
  const version = await presentVersion(connection)
  if (version === SCHEMA_VERSION) return
  if (version > SCHEMA_VERSION) {
    throw kitErrors.NewerVersion({
      object: shown,
      message: `has schema version ${version}, this version knows up to ${SCHEMA_VERSION}`,
    })
  }
  if (version === 0 && (await isThere(connection, 'space'))) {
    if (!(await isThere(connection, 'drover_schema'))) {
      throw kitErrors.CorruptFile({ object: shown, expected: 'an empty database, or one of Drover' })
    }
  }
  await one(connection, 'SELECT get_lock(?, ?) AS value', LOCK, LOCK_PATIENCE)
  try {
    await connection.query(
      'CREATE TABLE IF NOT EXISTS drover_schema (version INT UNSIGNED NOT NULL PRIMARY KEY) ENGINE=InnoDB',
    )
    for (let next = await presentVersion(connection); next < SCHEMA_VERSION; next += 1) {
      // Tables cannot be made in a transaction here: a step that was broken off is begun again.
      for (const statement of MIGRATIONS[next] ?? []) {
        await connection.query(statement.replace('CREATE TABLE ', 'CREATE TABLE IF NOT EXISTS '))
      }
      await connection.query('INSERT INTO drover_schema VALUES (?)', [next + 1])
    }
  } finally {
    await one(connection, 'SELECT release_lock(?) AS value', LOCK)
  }
}
