/**
 * The tables in a SQLite file, and how a file of an older version gets them.
 *
 * `PRAGMA user_version` holds the version of the schema, `PRAGMA application_id` says that the file is ours.
 */
import type { DatabaseSync } from 'node:sqlite'
import { UnusableFile } from './failure.ts'

/** "Drov": what tools like file(1) know the file by. */
const APPLICATION_ID = 0x44726f76

/**
 * Each step brings a file from the version that is its index to the next one. Steps are never changed, only added.
 *
 * `log` has a rowid besides its primary key, because SQLite stores rows of more than a quarter page outside the tree
 * in tables without one. AUTOINCREMENT, so that a writer that still holds the key of a deleted space meets nobody.
 */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE space (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT UNIQUE, -- NULL once the space is deleted, until its log is gone
    revision INTEGER NOT NULL,
    compacted INTEGER NOT NULL,
    epoch INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE log (
    space INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    previous INTEGER NOT NULL, -- the revision it replaced, 0 when it created the object
    created INTEGER NOT NULL, -- the revision that created the object
    deleted INTEGER NOT NULL,
    time INTEGER NOT NULL, -- milliseconds since 1970
    value TEXT NOT NULL,
    PRIMARY KEY (space, revision)
  ) STRICT;
  `,
  `
  ALTER TABLE space ADD COLUMN holder TEXT; -- the server that runs the controllers of the space
  ALTER TABLE space ADD COLUMN lease_until INTEGER; -- milliseconds since 1970
  `,
]

export const SCHEMA_VERSION = MIGRATIONS.length

function pragma(database: DatabaseSync, name: 'user_version' | 'application_id'): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name])
}

function isEmpty(database: DatabaseSync): boolean {
  return database.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined
}

/**
 * Checks that this version can work with a file. Changes nothing.
 *
 * @throws `UnusableFile`
 */
export function requireUsable(database: DatabaseSync): void {
  if (pragma(database, 'application_id') !== APPLICATION_ID) {
    if (isEmpty(database)) return
    throw new UnusableFile('foreign', 'is a database of another program')
  }
  const version = pragma(database, 'user_version')
  if (version > SCHEMA_VERSION) {
    throw new UnusableFile(
      'newer',
      `has schema version ${version}, this version knows up to ${SCHEMA_VERSION}`,
    )
  }
}

/** Brings the tables to this version, all steps or none. Waits for no lock when nothing is to be done. */
export function migrate(database: DatabaseSync): void {
  if (pragma(database, 'user_version') === SCHEMA_VERSION) return
  database.exec('BEGIN IMMEDIATE')
  try {
    for (const step of MIGRATIONS.slice(pragma(database, 'user_version'))) database.exec(step)
    database.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`)
    database.exec(`PRAGMA application_id = ${APPLICATION_ID}`)
    database.exec('COMMIT')
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}
