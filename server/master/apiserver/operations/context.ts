/** What every write knows of its request. */
import type { Identity } from '../access/index.ts'
import type { Resource } from '../catalog/index.ts'
import type { Cluster } from '../cluster/index.ts'

/** What happens with fields that the kind does not have. */
export type FieldValidation = 'Strict' | 'Warn' | 'Ignore'

export interface WriteContext {
  readonly cluster: Cluster
  readonly resource: Resource
  readonly identity: Identity
  /** Do everything but write. */
  readonly dryRun: boolean
  readonly fieldValidation: FieldValidation
  /** Tells the client something beside the answer. */
  readonly warn: (text: string) => void
}
