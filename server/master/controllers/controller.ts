/** What every controller gets, and the little that all of them are. */
import type { Clock, Logger } from '../../../kit/index.ts'
import type { ClusterClient } from '../apiserver/index.ts'

export interface ControllerOptions {
  /** With the identity of this controller, which may do what it needs and no more. */
  readonly client: ClusterClient
  readonly clock: Clock
  readonly log: Logger
}

/** Keeps one thing of one cluster as it should be. */
export interface Controller {
  /** Resolves when it watches. */
  start(): Promise<void>
  /** Resolves when nothing of it runs. */
  stop(): Promise<void>
}
