/** Where the volumes of a pod let it go, and which of them are made when it is known where it goes. */
import type {
  Frozen,
  NodeSelectorTerm,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  StorageClass,
} from '../apiserver/index.ts'

export const VOLUME_CONFLICT = 'node(s) had volume node affinity conflict'

/** Annotation of a claim: the node that its volume is to be made for (as kube-scheduler tells provisioners). */
export const SELECTED_NODE = 'volume.kubernetes.io/selected-node'

/** A class of volumes that are there already, or not at all. */
const NO_PROVISIONER = 'kubernetes.io/no-provisioner'

export type VolumeDemand =
  | {
      readonly type: 'ready'
      /** Of each list, one term must hold. */
      readonly terms: readonly Frozen<NodeSelectorTerm[]>[]
      /** Claims whose volumes are made when the node is chosen. */
      readonly toPlace: readonly string[]
    }
  /** Volumes are being made for this node. */
  | { readonly type: 'placed'; readonly node: string }
  | { readonly type: 'missing'; readonly message: string }

/** What volumes are kept by: `namespace/name` for claims. */
export interface Volumes {
  claim(namespace: string, name: string): Frozen<PersistentVolumeClaim> | undefined
  volume(name: string): Frozen<PersistentVolume> | undefined
  storageClass(name: string): Frozen<StorageClass> | undefined
  /** Whether there is such a node now. */
  hasNode(name: string): boolean
}

/** Names of the claims that a pod uses. */
export function claimNames({ metadata, spec }: Frozen<Pod>): string[] {
  return (spec.volumes ?? []).flatMap(volume => {
    const { claimName } = (volume.persistentVolumeClaim ?? {}) as { claimName?: string }
    if (claimName !== undefined) return [claimName]
    return volume.ephemeral === undefined ? [] : [`${metadata.name}-${volume.name}`]
  })
}

/** Whether somebody makes its volume when they know the node. */
function isMadeLate({ spec }: Frozen<PersistentVolumeClaim>, volumes: Volumes): boolean {
  const storageClass = volumes.storageClass(spec.storageClassName ?? '')
  return (
    (spec.volumeName ?? '') === '' &&
    storageClass?.volumeBindingMode === 'WaitForFirstConsumer' &&
    storageClass.provisioner !== NO_PROVISIONER
  )
}

/** What the volumes of a pod demand of its node now. */
export function volumeDemand(namespace: string, claims: readonly string[], volumes: Volumes): VolumeDemand {
  const terms: Frozen<NodeSelectorTerm[]>[] = []
  const toPlace: string[] = []
  const placed = new Set<string>()
  for (const name of claims) {
    const claim = volumes.claim(namespace, name)
    if (claim === undefined) return { type: 'missing', message: `persistentvolumeclaim "${name}" not found` }
    const volume = volumes.volume(claim.spec.volumeName ?? '')
    if (claim.status?.phase === 'Bound' && volume !== undefined) {
      const { nodeAffinity } = volume.spec
      if (nodeAffinity?.required !== undefined) terms.push(nodeAffinity.required.nodeSelectorTerms)
      continue
    }
    if (!isMadeLate(claim, volumes))
      return { type: 'missing', message: 'pod has unbound immediate PersistentVolumeClaims' }
    const node = claim.metadata.annotations?.[SELECTED_NODE] ?? ''
    // A node that is gone makes nothing any more.
    if (node !== '' && volumes.hasNode(node)) placed.add(node)
    else toPlace.push(name)
  }
  const [node] = placed
  if (node === undefined) return { type: 'ready', terms, toPlace }
  if (toPlace.length === 0) return { type: 'placed', node }
  // Another pod that shares a claim has chosen: the rest is made there too.
  return { type: 'ready', terms: [...terms, onNode(node)], toPlace }
}

function onNode(node: string): NodeSelectorTerm[] {
  return [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }]
}
