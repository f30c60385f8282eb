/** A store in a directory of its own, for the tests of this folder. */
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

/** Opens a store that is stopped when the test ends. */
export async function temporaryStore(t: Test, options: Partial<StoreOptions> = {}): Promise<TemporaryStore> {
  const file = options.database ?? path.join(await temporaryDirectory(t), 'store.db')
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

/** Runs statements on the file beside the store, which is how a broken or hostile database is made. */
export function sabotage(file: string, sql: string): void {
  const database = new DatabaseSync(file, { timeout: 5_000 })
  try {
    database.exec(sql)
  } finally {
    database.close()
  }
}
