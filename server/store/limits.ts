/** The bounds of the store: everything that grows with what others do has one. */
import type { RecentEventsLimit } from './recent-events.ts'
import type { WatchLimit } from './space-watch.ts'

export interface StoreLimits {
  /** Largest object, in bytes of JSON. */
  readonly objectBytes: number
  /** Writes that may wait for the disk, over all spaces. */
  readonly pendingWrites: number
  /** Bytes of JSON that may wait for the disk, over all spaces. */
  readonly pendingBytes: number
  /** Writes in one transaction. */
  readonly batchWrites: number
  /** Bytes of JSON in one transaction; one object may be larger. */
  readonly batchBytes: number
  /** Events that each space keeps in memory for watches that come back. */
  readonly recent: RecentEventsLimit
  /** Events that may wait for the consumer of one watch. */
  readonly watch: WatchLimit
  /** Longest time that a write may wait for the disk, in milliseconds. */
  readonly writeDeadline: number
}

const MIB = 1024 * 1024

export const DEFAULT_LIMITS: StoreLimits = {
  objectBytes: 4 * MIB,
  pendingWrites: 10_000,
  pendingBytes: 64 * MIB,
  batchWrites: 1_000,
  batchBytes: 8 * MIB,
  recent: { events: 5_000, bytes: 8 * MIB },
  watch: { events: 20_000, bytes: 64 * MIB },
  writeDeadline: 60_000,
}

/** How much history automatic compaction leaves: both bounds hold. */
export interface HistoryRetention {
  /** Everything written in the last so many milliseconds. */
  readonly age: number
  /** At least so many of the newest revisions. */
  readonly revisions: number
  /** Milliseconds between two rounds of compaction. */
  readonly interval: number
}

export const DEFAULT_RETENTION: HistoryRetention = { age: 10 * 60_000, revisions: 1_000, interval: 60_000 }
