/**
 * What the store needs from a SQL engine.
 *
 * The store keeps two tables. `space` has one row for each space with its counter of revisions, the newest compacted
 * revision and the fencing epoch; `log` has one row for each revision. The newest row of an object is its current
 * version; the log of a space has no gap after its compacted revision, and up to it holds exactly the versions that
 * were current there.
 *
 * An engine does what it is asked in the order it was asked. A call that rejects with `DatabaseRefused` changed
 * nothing; one that rejects with `DatabaseLost` may have happened or not.
 */
import type { SpaceId } from './contract.ts'

/** The row of one space. `key` is what the engine knows it by; it is never used again for another space. */
export interface SpaceRow {
  readonly key: number
  readonly id: SpaceId
  readonly revision: number
  readonly compactedRevision: number
  readonly epoch: number
}

/** One revision: one version of one object, or its deletion. */
export interface LogRow {
  readonly revision: number
  readonly kind: string
  readonly namespace: string
  readonly name: string
  /** The revision of the version that this one replaced; 0 when it created the object. */
  readonly previousRevision: number
  /** The revision that created the object. */
  readonly createdRevision: number
  readonly deleted: boolean
  /** When it was written, in milliseconds since 1970. */
  readonly time: number
  /** The object; empty for a deletion. */
  readonly json: string
}

/** The writes of one space in a batch: its next revisions, without a gap, starting after `from`. */
export interface SpaceCommit {
  readonly space: number
  readonly epoch: number
  readonly from: number
  readonly rows: readonly LogRow[]
}

/** Why an engine did not do something. */
export interface DatabaseFailure {
  readonly message: string
  readonly diskFull: boolean
}

/** `fenced`: the space is gone, or its epoch or revision is another than the writer believes. */
export type CommitOutcome =
  | { readonly status: 'committed' }
  | { readonly status: 'fenced' }
  | { readonly status: 'refused'; readonly failure: DatabaseFailure }

/** Bounds of one page of rows: whichever is reached first ends it. A page has at least one row if there is one. */
export interface PageLimit {
  readonly rows: number
  /** Sum of the lengths of the objects' JSON. */
  readonly bytes: number
}

export interface LoadPage {
  /** In order of revision. */
  readonly rows: readonly LogRow[]
  readonly done: boolean
}

export interface HistoryQuery {
  readonly space: number
  readonly kind?: string | undefined
  readonly namespace?: string | undefined
  /** Revisions after this one … */
  readonly after: number
  /** … up to and including this one. */
  readonly upTo: number
  readonly limit: PageLimit
}

/** A revision with the JSON of the version that it replaced, where it replaced one. */
export interface HistoryRow extends LogRow {
  readonly previousJson: string
}

export interface HistoryPage {
  readonly rows: readonly HistoryRow[]
  /** Every matching revision up to this one is in the page. */
  readonly upTo: number
  /** The space's, at the moment of reading. */
  readonly compactedRevision: number
}

export interface CompactionStep {
  readonly space: number
  readonly epoch: number
  /** Not further than this revision. */
  readonly upTo: number
  /** Only revisions written at or before this time, in milliseconds since 1970. */
  readonly writtenBefore?: number
  /** At most so many revisions in this step. */
  readonly revisions: number
}

export interface Database {
  /** The ids of all spaces. */
  listSpaces(): Promise<readonly SpaceId[]>
  /** A new space at revision 0, epoch 1. Undefined when there is one of this id. */
  createSpace(id: SpaceId): Promise<SpaceRow | undefined>
  /** Takes a space over: raises its epoch, so that whoever wrote to it before is fenced. Undefined when there is none. */
  acquireSpace(id: SpaceId): Promise<SpaceRow | undefined>
  /** The row as it is now. Undefined when the space was deleted. */
  readSpace(key: number): Promise<SpaceRow | undefined>
  /** Makes a space disappear; its log goes later, by `purge`. False when there is none of this id. */
  deleteSpace(id: SpaceId): Promise<boolean>
  /** Removes at most `rows` rows of deleted spaces. True when more are left. */
  purge(rows: number): Promise<boolean>
  /** The log of a space after a revision, in pages. */
  loadSpace(key: number, after: number, limit: PageLimit): Promise<LoadPage>
  /** One transaction: all or nothing of each space, durable when it resolves. */
  commit(commits: readonly SpaceCommit[]): Promise<readonly CommitOutcome[]>
  readHistory(query: HistoryQuery): Promise<HistoryPage>
  /** Forgets some history; returns the compacted revision after it, undefined when fenced. */
  compact(step: CompactionStep): Promise<number | undefined>
  /** Ends the connection, after everything asked before. */
  stop(): Promise<void>
}
