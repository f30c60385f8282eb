/**
 * The one writer: gathers the writes of all spaces into transactions.
 *
 * One transaction is in flight at a time; everything that arrives meanwhile is the next one. The batch grows with the
 * load by itself, and a single write does not wait for company.
 */
import { setImmediate } from 'node:timers/promises'
import {
  Backoff,
  type DroverError,
  explainError,
  isDroverError,
  type Logger,
  sleep,
} from '../../kit/index.ts'
import type { ObjectKey, StoredObject } from './contract.ts'
import type { CommitOutcome, Database, LogRow, SpaceCommit } from './database.ts'
import { storeErrors } from './errors.ts'
import type { StoreLimits } from './limits.ts'
import { databaseAway, fencedOff, outcomeUnknown, refusedByDatabase } from './write-failure.ts'

/** Where the writes of one space come from, and go to when they are on disk. */
export interface WriteTarget {
  readonly id: string
  /** The database's key of the space. */
  readonly key: number
  readonly epoch: number
  /** The newest revision that is on disk, as far as this process knows. */
  readonly revision: number
  /** The writes are on disk, in order of revision. */
  committed(writes: readonly PendingWrite[]): void
  /** Whatever the space accepted and did not see committed will never be: it starts again from its revision. */
  discardPending(): void
  /** Another process writes to the space now, or it was deleted. */
  fence(): void
}

/** A write that was accepted and waits for the disk. */
export interface PendingWrite {
  readonly target: WriteTarget
  readonly key: ObjectKey
  /** The new version; undefined for a deletion. */
  readonly object: StoredObject | undefined
  readonly row: LogRow
  readonly settled: PromiseWithResolvers<void>
}

interface Batch {
  readonly target: WriteTarget
  readonly commit: SpaceCommit
  readonly writes: readonly PendingWrite[]
}

export interface GroupCommitOptions {
  readonly database: Database
  readonly limits: StoreLimits
  readonly log: Logger
}

/** Delays between two questions to a database that does not answer, in milliseconds. */
const RECOVERY_BACKOFF = { initial: 50, maximum: 2_000 }

export class GroupCommit {
  readonly #database: Database
  readonly #limits: StoreLimits
  readonly #log: Logger
  readonly #abort = new AbortController()
  #queue: PendingWrite[] = []
  #inFlight = 0
  #bytes = 0
  #running: Promise<void> | undefined
  #stopping = false
  /** Why the outcome of the last transaction is not known; while it is not, nothing is accepted. */
  #lost: unknown
  /** Whose waiting writes were refused because the database was lost. */
  readonly #discarded = new Set<WriteTarget>()

  constructor({ database, limits, log }: GroupCommitOptions) {
    this.#database = database
    this.#limits = limits
    this.#log = log
  }

  /** @throws `Stopped`, `TooManyWrites`, `WriteFailed` when `target` could not `add` a write now */
  requireRoom(target: WriteTarget): void {
    if (this.#stopping) throw storeErrors.Stopped({ object: `space ${target.id}` })
    if (this.#lost !== undefined) throw databaseAway(target.id, this.#lost)
    const { pendingWrites, pendingBytes } = this.#limits
    if (this.#queue.length + this.#inFlight >= pendingWrites || this.#bytes >= pendingBytes) {
      throw storeErrors.TooManyWrites({ object: `space ${target.id}` })
    }
  }

  /** Takes a write that goes into the next transaction. Its revision follows that of the target's last one. */
  add(write: PendingWrite): void {
    this.#queue.push(write)
    this.#bytes += write.row.json.length
    this.#running ??= this.#run()
  }

  /** Refuses new writes, finishes the accepted ones. */
  async stop(): Promise<void> {
    this.#stopping = true
    if (this.#lost !== undefined) this.#abort.abort(this.#lost)
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      // One turn of the event loop, in which everyone who is about to write joins the same transaction.
      await setImmediate()
      const batches = this.#takeBatches()
      const outcomes = await this.#commit(batches)
      batches.forEach((batch, index) => {
        this.#finish(batch, outcomes[index] ?? { status: 'fenced' })
      })
      this.#inFlight = 0
      this.#forgetLoss()
    }
    this.#running = undefined
  }

  #takeBatches(): Batch[] {
    const { batchWrites, batchBytes } = this.#limits
    let bytes = 0
    let count = 0
    for (const { row } of this.#queue) {
      if (count > 0 && (count >= batchWrites || bytes + row.json.length > batchBytes)) break
      count += 1
      bytes += row.json.length
    }
    const taken = this.#queue.splice(0, count)
    this.#inFlight = count
    return [...Map.groupBy(taken, write => write.target)].map(([target, writes]) => ({
      target,
      writes,
      commit: {
        space: target.key,
        epoch: target.epoch,
        from: target.revision,
        rows: writes.map(({ row }) => row),
      },
    }))
  }

  async #commit(batches: readonly Batch[]): Promise<readonly CommitOutcome[]> {
    try {
      return await this.#database.commit(batches.map(({ commit }) => commit))
    } catch (error) {
      if (isDroverError(error, 'DatabaseRefused')) {
        const failure = { message: error.message, diskFull: error.status === 507 }
        return batches.map(() => ({ status: 'refused', failure }))
      }
      return await this.#settle(batches, error)
    }
  }

  /**
   * Finds out what became of a transaction that the database did not answer.
   *
   * A transaction is there as a whole or not at all, and ours is the only one in flight: the revision of each space
   * tells. Until it is known nothing new is accepted, because it could build on a version that never was.
   */
  async #settle(batches: readonly Batch[], cause: unknown): Promise<readonly CommitOutcome[]> {
    this.#log.error({ err: cause }, 'lost the database in the middle of a transaction')
    this.#lost = cause
    const waiting = this.#queue.splice(0)
    for (const write of waiting) {
      this.#reject(write, databaseAway(write.target.id, cause))
      this.#discarded.add(write.target)
    }
    const giveUp = () => {
      for (const { target, writes } of batches) {
        for (const { settled } of writes) settled.reject(outcomeUnknown(target.id, cause))
      }
    }
    const timer = setTimeout(giveUp, this.#limits.writeDeadline)
    try {
      const outcomes = await this.#askForOutcomes(batches)
      this.#log.warn({ outcomes: outcomes.map(({ status }) => status) }, 'the database is back')
      return outcomes
    } catch (error) {
      // Only `stop` ends the questions.
      giveUp()
      return batches.map(() => ({
        status: 'refused',
        failure: { message: explainError(error), diskFull: false },
      }))
    } finally {
      clearTimeout(timer)
    }
  }

  /** In the same turn in which the outcomes were applied: a write accepted between would get a revision twice. */
  #forgetLoss(): void {
    this.#lost = undefined
    for (const target of this.#discarded) target.discardPending()
    this.#discarded.clear()
  }

  async #askForOutcomes(batches: readonly Batch[]): Promise<readonly CommitOutcome[]> {
    const backoff = new Backoff(RECOVERY_BACKOFF)
    for (;;) {
      this.#abort.signal.throwIfAborted()
      try {
        return await Promise.all(batches.map(({ commit }) => this.#outcomeOf(commit)))
      } catch (error) {
        this.#log.warn({ err: error, attempt: backoff.attempts }, 'the database is still away')
        await sleep(backoff.next(), this.#abort.signal)
      }
    }
  }

  async #outcomeOf({ space, epoch, from, rows }: SpaceCommit): Promise<CommitOutcome> {
    const row = await this.#database.readSpace(space)
    if (row?.epoch !== epoch) return { status: 'fenced' }
    if (row.revision === from + rows.length) return { status: 'committed' }
    return {
      status: 'refused',
      failure: { message: 'the database was lost before it did it', diskFull: false },
    }
  }

  #finish({ target, writes }: Batch, outcome: CommitOutcome): void {
    if (outcome.status === 'committed') {
      // Whoever wrote goes on first, then whoever watches, both after this turn, in which it becomes visible.
      for (const { row, settled } of writes) {
        this.#bytes -= row.json.length
        settled.resolve()
      }
      target.committed(writes)
      return
    }
    const error =
      outcome.status === 'fenced' ? fencedOff(target.id) : refusedByDatabase(target.id, outcome.failure)
    this.#log.warn({ err: error, writes: writes.length }, 'a transaction was refused')
    // What was accepted since builds on what has just been refused.
    const built = this.#queue.filter(write => write.target === target)
    this.#queue = this.#queue.filter(write => write.target !== target)
    for (const write of [...writes, ...built]) this.#reject(write, error)
    target.discardPending()
    if (outcome.status === 'fenced') target.fence()
  }

  #reject(write: PendingWrite, error: DroverError): void {
    this.#bytes -= write.row.json.length
    write.settled.reject(error)
  }
}
