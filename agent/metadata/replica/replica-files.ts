/**
 * Keeps a replica on disk: a snapshot, and a journal of the steps since.
 *
 * Writing never holds up who has something to write, and needs a bounded amount of memory: what cannot be journalled,
 * because the disk is slow or full, is made good by a snapshot of everything as soon as that can be written.
 */
import { type FileHandle, open, readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import {
  Backoff,
  type CancelTimer,
  type Clock,
  explainError,
  type Logger,
  makePrivateDirectory,
  writeFileDurably,
} from '../../../kit/index.ts'
import type { MetadataObject, MetadataPosition, MetadataStep } from '../../../protocol/index.ts'
import { encodeLine } from './checksummed-lines.ts'
import {
  journalFile,
  listReplicaFiles,
  REPLICA_FORMAT,
  type Recovered,
  type RecoveryTarget,
  recover,
  snapshotFile,
} from './recovery.ts'

/** What a snapshot holds. */
export interface ReplicaContent {
  readonly position: MetadataPosition | undefined
  /** As they are at that moment; read while they are written. */
  readonly objects: Iterable<MetadataObject> & { end(): void }
}

export interface ReplicaFilesOptions {
  readonly directory: string
  /** What the replica holds at this moment; asked when a snapshot begins. */
  readonly content: () => ReplicaContent
  readonly log: Logger
  readonly clock: Clock
}

/** Characters that may wait to be written to the journal. */
const PENDING_LIMIT = 8 * 1024 * 1024

/** A journal that is longer than this, and than the snapshot, is replaced by a new snapshot. In bytes. */
const SMALLEST_JOURNAL_LIMIT = 1024 * 1024

/** Journals that a start may leave behind before a snapshot replaces them. */
const JOURNAL_COUNT_LIMIT = 4

/** Milliseconds between a write and its sync. What a power cut takes away in between, the server sends again. */
const SYNC_DELAY = 1_000

/** Characters of one write of a snapshot. */
const CHUNK = 128 * 1024

function* snapshotChunks(
  { position, objects }: ReplicaContent,
  count: (bytes: number) => void,
): Generator<string> {
  let chunk = encodeLine(JSON.stringify({ format: REPLICA_FORMAT, position: position ?? null }))
  let written = 0
  for (const object of objects) {
    written += 1
    chunk += encodeLine(JSON.stringify(object))
    if (chunk.length < CHUNK) continue
    count(chunk.length)
    yield chunk
    chunk = ''
  }
  yield chunk + encodeLine(JSON.stringify({ end: written }))
}

export class ReplicaFiles {
  readonly #options: ReplicaFilesOptions
  readonly #backoff = new Backoff({ initial: 1_000, maximum: 60_000 })
  #number = 0
  #journal: FileHandle | undefined
  #journalBytes = 0
  #snapshotBytes = 0
  #pending: string[] = []
  #pendingSize = 0
  #snapshotWanted = false
  #syncWanted = false
  #syncTimer: CancelTimer | undefined
  /** Set while writing is given up for a moment. */
  #retryTimer: CancelTimer | undefined
  #writing: Promise<void> | undefined
  #closed = false

  constructor(options: ReplicaFilesOptions) {
    this.#options = options
  }

  /**
   * Reads back what was kept; call it once, before anything else.
   *
   * @param target is given what is known
   * @returns `fragmented`: there are so many journals that a snapshot is worth it
   * @throws the system's error
   */
  async load(target: RecoveryTarget): Promise<Recovered & { readonly fragmented: boolean }> {
    const { directory } = this.#options
    await makePrivateDirectory(directory)
    await this.#removeUnfinished()
    const recovered = await recover(directory, target)
    // A journal may end in half a line: nothing is ever written behind what an earlier process wrote.
    this.#number = recovered.number + 1
    this.#snapshotBytes = recovered.snapshotBytes
    return { ...recovered, fragmented: recovered.journals > JOURNAL_COUNT_LIMIT }
  }

  /** Journals a step. */
  append(step: MetadataStep): void {
    this.#appendLine(encodeLine(JSON.stringify(step)))
  }

  /** Journals that what is known is the model of no moment until the next snapshot. */
  appendVoid(): void {
    this.#appendLine(encodeLine(JSON.stringify({ void: true })))
  }

  /** Writes everything, soon. */
  snapshot(): void {
    this.#snapshotWanted = true
    this.#write()
  }

  /** Writes what waits to be written, if the disk lets it. */
  async close(): Promise<void> {
    this.#closed = true
    this.#syncTimer?.()
    this.#retryTimer?.()
    this.#retryTimer = undefined
    this.#syncWanted = this.#journal !== undefined
    this.#write()
    await this.#writing
    await this.#journal
      ?.close()
      .catch(error => this.#options.log.debug({ err: error }, 'the journal was not closed'))
    this.#journal = undefined
  }

  #appendLine(line: string): void {
    // A snapshot that is still to come will hold it.
    if (this.#snapshotWanted) return
    this.#pending.push(line)
    this.#pendingSize += line.length
    if (this.#pendingSize > PENDING_LIMIT) this.#snapshotWanted = true
    this.#write()
  }

  #write(): void {
    if (this.#retryTimer !== undefined || this.#writing !== undefined) return
    this.#writing = this.#writeAll().finally(() => {
      this.#writing = undefined
    })
  }

  async #writeAll(): Promise<void> {
    try {
      while (this.#snapshotWanted || this.#pending.length > 0 || this.#syncWanted) {
        if (this.#snapshotWanted) await this.#writeSnapshot()
        else if (this.#pending.length > 0) await this.#writePending()
        else await this.#sync()
      }
    } catch (error) {
      this.#giveUpForNow(error)
    }
  }

  /** The journal may hold half a line now, or nothing of what memory holds: a new snapshot makes it good. */
  #giveUpForNow(error: unknown): void {
    const { log, clock } = this.#options
    this.#snapshotWanted = true
    this.#syncWanted = false
    if (this.#closed) {
      log.warn({ reason: explainError(error) }, 'the newest metadata is not on disk')
      return
    }
    const delay = this.#backoff.next()
    log.warn(
      { reason: explainError(error), retryIn: Math.round(delay) },
      'metadata cannot be written to disk',
    )
    this.#retryTimer = clock.after(delay, () => {
      this.#retryTimer = undefined
      this.#write()
    })
  }

  async #writeSnapshot(): Promise<void> {
    const { directory, content } = this.#options
    this.#snapshotWanted = false
    // Everything that waited is in the content; what comes from now on goes into the journal of the new number.
    this.#pending = []
    this.#pendingSize = 0
    await this.#journal?.close()
    this.#journal = undefined
    this.#number += 1
    this.#journalBytes = 0
    let bytes = 0
    const held = content()
    const chunks = snapshotChunks(held, size => {
      bytes += size
    })
    try {
      await writeFileDurably(snapshotFile(directory, this.#number), chunks)
    } finally {
      held.objects.end()
    }
    this.#snapshotBytes = bytes
    this.#backoff.reset()
    await this.#removeBefore(this.#number)
  }

  async #writePending(): Promise<void> {
    const text = this.#pending.join('')
    this.#pending = []
    this.#pendingSize = 0
    this.#journal ??= await open(journalFile(this.#options.directory, this.#number), 'a', 0o600)
    await this.#journal.appendFile(text)
    this.#journalBytes += text.length
    if (this.#journalBytes > Math.max(SMALLEST_JOURNAL_LIMIT, this.#snapshotBytes))
      this.#snapshotWanted = true
    if (this.#closed) this.#syncWanted = true
    this.#syncTimer ??= this.#options.clock.after(SYNC_DELAY, () => {
      this.#syncTimer = undefined
      this.#syncWanted = true
      this.#write()
    })
  }

  async #sync(): Promise<void> {
    this.#syncWanted = false
    await this.#journal?.datasync()
  }

  async #removeBefore(number: number): Promise<void> {
    const { directory } = this.#options
    const { snapshots, journals } = await listReplicaFiles(directory)
    for (const old of snapshots) if (old < number) await rm(snapshotFile(directory, old), { force: true })
    for (const old of journals) if (old < number) await rm(journalFile(directory, old), { force: true })
  }

  async #removeUnfinished(): Promise<void> {
    const { directory } = this.#options
    for (const name of await readdir(directory)) {
      if (name.endsWith('.tmp')) await rm(path.join(directory, name), { force: true })
    }
  }
}
