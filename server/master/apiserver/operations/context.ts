/** What every write knows of its request. */
import type { Identity } from '../access/index.ts'
import type { Resource } from '../catalog/index.ts'
import type { Cluster } from '../cluster/index.ts'
import type { Tracking } from './tracking.ts'

/** What happens with fields that the kind does not have. */
export type FieldValidation = 'Strict' | 'Warn' | 'Ignore'

export interface WriteContext {
  /** Who manages the fields that are written; undefined for the program itself. */
  readonly tracking?: Tracking | undefined
  readonly cluster: Cluster
  readonly resource: Resource
  readonly identity: Identity
  /** Do everything but write. */
  readonly dryRun: boolean
  readonly fieldValidation: FieldValidation
  /** Whether admission webhooks are not asked: a cluster has to come up where none of them can be reached. */
  readonly bypassesWebhooks?: boolean
  /** Tells the client something beside the answer. */
  readonly warn: (text: string) => void
}
