/** A store in a directory of its own, for the tests of this folder. */
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Test } from 'tap'
import { createLogger } from '../../../../kit/index.ts'
import {
  type ObjectKey,
  openStore,
  parseSpaceId,
  type RunningStore,
  type Space,
  type StoredObject,
  type StoreOptions,
} from '../../../../server/store/index.ts'

export const silentLog = createLogger('test', 'silent')

/** A private directory that goes when the test ends. */
export async function temporaryDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'store-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

export interface TemporaryStore {
  readonly store: RunningStore
  readonly file: string
}

/** Set where these tests are to run on a server: its URL, without a database. */
export const SERVER = process.env.DROVER_TEST_DATABASE

function isServer(place: string): boolean {
  return place.startsWith('mysql:')
}

function askServer(place: string, sql: string): string {
  const { hostname, port, username, password, pathname } = new URL(place)
  const args = [
    `--host=${hostname}`,
    `--port=${port}`,
    `--user=${username}`,
    '--batch',
    '--skip-column-names',
  ]
  return execFileSync('mariadb', [...args, '--delimiter=//', pathname.slice(1), '--execute', `${sql}//`], {
    encoding: 'utf8',
    env: { ...process.env, MYSQL_PWD: decodeURIComponent(password) },
  })
}

/** A place for a new store: a file in `directory`, or a database of the server that these tests run on. */
export function newPlace(directory: string): string {
  if (SERVER === undefined) return path.join(directory, 'store.db')
  const name = `t${randomUUID().replaceAll('-', '')}`
  askServer(SERVER, `CREATE DATABASE ${name}`)
  return `${SERVER}${name}`
}

/** Opens a store that is stopped when the test ends. */
export async function temporaryStore(t: Test, options: Partial<StoreOptions> = {}): Promise<TemporaryStore> {
  const file = options.database ?? newPlace(await temporaryDirectory(t))
  const store = await openStore({ log: silentLog, ...options, database: file })
  t.teardown(() => store.stop())
  return { store, file }
}

export const C1 = parseSpaceId('c1')

/** A store with one empty space. */
export async function temporarySpace(
  t: Test,
  options: Partial<StoreOptions> = {},
): Promise<TemporaryStore & { space: Space }> {
  const opened = await temporaryStore(t, options)
  return { ...opened, space: await opened.store.createSpace(C1) }
}

export function pod(name: string, namespace = 'default'): ObjectKey {
  return { kind: 'pods', namespace, name }
}

/** An encoder that writes its revision and `text` into the object. */
export function withRevision(text = '') {
  return (revision: number) => JSON.stringify({ revision, text })
}

export function revisionInside(object: StoredObject): number {
  return (JSON.parse(object.json) as { revision: number }).revision
}

/** Why a table shall refuse rows: a condition on the new one, as SQL. */
export interface Refusal {
  readonly trigger: string
  readonly on: 'INSERT ON log' | 'UPDATE ON space' | 'INSERT ON space'
  /** Of any row when it is left out. */
  readonly when?: string
  /** SQLite's only: whether the statement is taken back, or everything. */
  readonly raise?: 'ABORT' | 'ROLLBACK'
}

/** Makes the database refuse what is written, beside the store. */
export function refuse(place: string, { trigger, on, when, raise = 'ABORT' }: Refusal): void {
  if (isServer(place)) {
    const signal = `SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'poisoned'`
    const body = when === undefined ? signal : `IF ${when} THEN ${signal}; END IF`
    sabotage(place, `CREATE TRIGGER ${trigger} BEFORE ${on} FOR EACH ROW ${body}`)
    return
  }
  const condition = when === undefined ? '' : `WHEN ${when}`
  sabotage(
    place,
    `CREATE TRIGGER ${trigger} BEFORE ${on} ${condition} BEGIN SELECT RAISE(${raise}, 'poisoned'); END`,
  )
}

/** Runs a statement on the database beside the store, which is how a broken or hostile one is made. */
export function sabotage(place: string, sql: string): void {
  if (isServer(place)) {
    askServer(place, sql)
    return
  }
  const database = new DatabaseSync(place, { timeout: 5_000 })
  try {
    database.exec(sql)
  } finally {
    database.close()
  }
}

/** The numbers that a question about the tables is answered with. */
export function numbersIn(place: string, sql: string): number[] {
  if (isServer(place)) return askServer(place, sql).split('\n').filter(Boolean).map(Number)
  const database = new DatabaseSync(place, { readOnly: true })
  try {
    return database
      .prepare(sql)
      .all()
      .map(row => Number(Object.values(row)[0]))
  } finally {
    database.close()
  }
}
