/** Durable creates per second of 1 KiB objects, beside raw batched inserts into SQLite. */
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { parseSpaceId, type RunningStore } from '../../../server/store/index.ts'
import { type PrintFigure, printLine, rounded } from '../figures.ts'
import { inTemporaryDirectory, objectOf, withStore } from './bench-store.ts'

const MILLISECONDS = 3_000
const WRITERS = 64
const SPACES = 50

/** Creates by `WRITERS` callers, each of which waits for its write, spread over `spaces` spaces. */
async function creates(store: RunningStore, spaces: number, writers: number): Promise<number> {
  const opened = await Promise.all(
    Array.from({ length: spaces }, (_, index) => store.createSpace(parseSpaceId(`s${spaces}-${index}`))),
  )
  const begin = performance.now()
  let done = 0
  const write = async (writer: number) => {
    for (let count = 0; performance.now() - begin < MILLISECONDS; count += 1) {
      const name = `w${writer}-${count}`
      const space = opened[(writer + count) % spaces]
      await space?.create({ kind: 'configmaps', namespace: 'default', name }, revision =>
        objectOf(name, revision),
      )
      done += 1
    }
  }
  await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)))
  return (done * 1_000) / (performance.now() - begin)
}

/** The same rows in transactions of `WRITERS` rows, with nothing around them. */
function rawInserts(file: string): number {
  const database = new DatabaseSync(file)
  database.exec('PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
  database.exec(
    'CREATE TABLE log (revision INTEGER PRIMARY KEY, kind TEXT, namespace TEXT, name TEXT, value TEXT)',
  )
  const insert = database.prepare('INSERT INTO log VALUES (?, ?, ?, ?, ?)')
  const begin = performance.now()
  let revision = 0
  while (performance.now() - begin < MILLISECONDS) {
    database.exec('BEGIN IMMEDIATE')
    for (let row = 0; row < WRITERS; row += 1) {
      revision += 1
      const name = `w${row}-${revision}`
      insert.run(revision, 'configmaps', 'default', name, objectOf(name, revision))
    }
    database.exec('COMMIT')
  }
  const rate = (revision * 1_000) / (performance.now() - begin)
  database.close()
  return rate
}

export async function bench(print: PrintFigure): Promise<void> {
  const peer = await inTemporaryDirectory(async directory => rawInserts(path.join(directory, 'peer.db')))
  for (const [spaces, writers] of [
    [1, WRITERS],
    [SPACES, WRITERS],
    [1, 1],
  ] as const) {
    const value = await withStore({}, store => creates(store, spaces, writers))
    print({
      bench: 'store',
      name: `durable creates, ${writers} writers, ${spaces} spaces`,
      value: Math.round(value),
      unit: '1/s',
      peer: {
        name: `node:sqlite, ${WRITERS} rows in a transaction`,
        value: Math.round(peer),
        ratio: rounded(value / peer),
      },
      ...(writers === WRITERS ? { budget: '>= 10000' } : {}),
    })
  }
}

if (process.argv[1] === import.meta.filename) await bench(printLine)
