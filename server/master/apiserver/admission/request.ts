/** What admission looks at. */
import type { Identity } from '../access/index.ts'
import type { Resource } from '../catalog/index.ts'
import type { Cluster } from '../cluster/index.ts'

/** A write that is about to happen; part of what operations know of it. */
export interface AdmissionRequest {
  readonly cluster: Cluster
  readonly resource: Resource
  readonly identity: Identity
  /** Empty for kinds without namespaces. */
  readonly namespace: string
  /** Tells the client something beside the answer. */
  readonly warn: (text: string) => void
}
