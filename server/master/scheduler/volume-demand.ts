/** Where the volumes of a pod let it go. */
import type {
  Frozen,
  NodeSelectorTerm,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
} from '../apiserver/index.ts'

export const VOLUME_CONFLICT = 'node(s) had volume node affinity conflict'

export type VolumeDemand =
  /** Of each list, one term must hold. */
  | { readonly type: 'ready'; readonly terms: readonly Frozen<NodeSelectorTerm[]>[] }
  | { readonly type: 'missing'; readonly message: string }

/** What volumes are kept by: `namespace/name` for claims. */
export interface Volumes {
  claim(namespace: string, name: string): Frozen<PersistentVolumeClaim> | undefined
  volume(name: string): Frozen<PersistentVolume> | undefined
}

/** Names of the claims that a pod uses. */
export function claimNames({ metadata, spec }: Frozen<Pod>): string[] {
  return (spec.volumes ?? []).flatMap(volume => {
    const { claimName } = (volume.persistentVolumeClaim ?? {}) as { claimName?: string }
    if (claimName !== undefined) return [claimName]
    return volume.ephemeral === undefined ? [] : [`${metadata.name}-${volume.name}`]
  })
}

/** What the volumes of a pod demand of its node now. */
export function volumeDemand(namespace: string, claims: readonly string[], volumes: Volumes): VolumeDemand {
  const terms: Frozen<NodeSelectorTerm[]>[] = []
  for (const name of claims) {
    const claim = volumes.claim(namespace, name)
    if (claim === undefined) return { type: 'missing', message: `persistentvolumeclaim "${name}" not found` }
    const volume = volumes.volume(claim.spec.volumeName ?? '')
    if (claim.status?.phase !== 'Bound' || volume === undefined) {
      return { type: 'missing', message: 'pod has unbound immediate PersistentVolumeClaims' }
    }
    const { nodeAffinity } = volume.spec as {
      readonly nodeAffinity?: { readonly required?: { readonly nodeSelectorTerms: NodeSelectorTerm[] } }
    }
    if (nodeAffinity?.required !== undefined) terms.push(nodeAffinity.required.nodeSelectorTerms)
  }
  return { type: 'ready', terms }
}
