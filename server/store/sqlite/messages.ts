/** What the main thread and the SQLite worker thread say to each other. */
import type { DatabaseFailure } from '../database.ts'
import type { UnusableReason } from './failure.ts'
import type { SqliteOperations } from './sqlite-log.ts'

/** What the worker is started with. */
export interface WorkerOptions {
  readonly file: string
}

export interface Request {
  readonly id: number
  readonly operation: keyof SqliteOperations
  readonly args: readonly unknown[]
}

export type Reply =
  /** The file is open. Sent once, before any other reply. */
  | { readonly type: 'ready' }
  /** The file cannot be opened; the worker ends. */
  | { readonly type: 'unusable'; readonly reason: UnusableReason; readonly message: string }
  | { readonly type: 'result'; readonly id: number; readonly value: unknown }
  /** It was not done. */
  | { readonly type: 'refused'; readonly id: number; readonly failure: DatabaseFailure }
  /** Nobody knows whether it was done; the worker must be replaced. */
  | { readonly type: 'unknown'; readonly id: number; readonly message: string }
