/** Which claims get which volumes (Kubernetes "Persistent Volumes", binding and reclaiming). Pure. */
import { HOST_VOLUME } from '../../../protocol/index.ts'
import {
  type Frozen,
  type ObjectReference,
  type PersistentVolume,
  type PersistentVolumeClaim,
  quantityValue,
  type StorageClass,
  selectorMatches,
} from '../apiserver/index.ts'
import { type HostVolumePlan, planHostVolume } from './host-volumes.ts'

type Claim = Frozen<PersistentVolumeClaim>
type Volume = Frozen<PersistentVolume>

export const CLAIM_FINALIZER = 'kubernetes.io/pvc-protection'
export const VOLUME_FINALIZER = 'kubernetes.io/pv-protection'
/** Set by whoever made a volume for a claim; its removal is their affair. */
const PROVISIONED_BY = HOST_VOLUME.provisionedBy
const NO_PROVISIONER = 'kubernetes.io/no-provisioner'

export type ClaimPlan =
  /** The volume is the claim's; both are to say so. */
  | { readonly type: 'bind'; readonly volume: Volume }
  /** Its volume is gone. */
  | { readonly type: 'lost' }
  | {
      readonly type: 'wait'
      readonly reason: string
      readonly message: string
      /** Who is asked to make a volume; undefined for nobody. */
      readonly provisioner?: string
    }
  | HostVolumePlan

/** Whether a volume names a claim: that of this name, and of this uid where one is said. */
export function isFor(reference: Frozen<ObjectReference> | undefined, { metadata }: Claim): boolean {
  return (
    reference !== undefined &&
    reference.namespace === metadata.namespace &&
    reference.name === metadata.name &&
    ((reference.uid ?? '') === '' || reference.uid === metadata.uid)
  )
}

function capacityOf({ spec }: Volume): number {
  return quantityValue(spec.capacity?.storage ?? '0') ?? 0
}

function fits({ spec, metadata }: Volume, claim: Claim): boolean {
  const wanted = claim.spec
  const modes = new Set(spec.accessModes)
  return (
    (spec.storageClassName ?? '') === (wanted.storageClassName ?? '') &&
    (spec.volumeMode ?? 'Filesystem') === (wanted.volumeMode ?? 'Filesystem') &&
    (wanted.accessModes ?? []).every(mode => modes.has(mode)) &&
    (wanted.selector === undefined || selectorMatches(wanted.selector, metadata.labels ?? {})) &&
    capacityOf({ spec, metadata } as Volume) >=
      (quantityValue(wanted.resources?.requests?.storage ?? '0') ?? 0)
  )
}

function isFree({ metadata, spec, status }: Volume): boolean {
  const phase = status?.phase ?? 'Available'
  return (
    metadata.deletionTimestamp === undefined &&
    spec.claimRef === undefined &&
    phase !== 'Released' &&
    phase !== 'Failed'
  )
}

/** The volume for a claim that names none: one that waits for it, or the smallest that is enough. */
function chooseVolume(claim: Claim, volumes: readonly Volume[]): Volume | undefined {
  const waiting = volumes.find(({ spec }) => isFor(spec.claimRef, claim))
  if (waiting !== undefined) return waiting
  return volumes
    .filter(volume => isFree(volume) && fits(volume, claim))
    .toSorted((a, b) => capacityOf(a) - capacityOf(b) || (a.metadata.name < b.metadata.name ? -1 : 1))[0]
}

export interface ClaimInput {
  readonly claim: Claim
  readonly volumes: readonly Volume[]
  readonly storageClass: Frozen<StorageClass> | undefined
  /** Whether a pod uses it. */
  readonly isUsed: boolean
}

export function planClaim({ claim, volumes, storageClass, isUsed }: ClaimInput): ClaimPlan {
  const { volumeName = '', storageClassName = '' } = claim.spec
  if (volumeName !== '') {
    const named = volumes.find(({ metadata }) => metadata.name === volumeName)
    if (named === undefined) {
      if (claim.status?.phase === 'Bound' || claim.status?.phase === 'Lost') return { type: 'lost' }
      return { type: 'wait', reason: 'FailedBinding', message: `volume "${volumeName}" is not there` }
    }
    if (named.spec.claimRef === undefined || isFor(named.spec.claimRef, claim))
      return { type: 'bind', volume: named }
    if (claim.status?.phase === 'Bound') return { type: 'lost' }
    const message = `volume "${volumeName}" already bound to a different claim.`
    return { type: 'wait', reason: 'FailedBinding', message }
  }
  const late = storageClass?.volumeBindingMode === 'WaitForFirstConsumer'
  if (late && !isUsed) {
    const message = 'waiting for first consumer to be created before binding'
    return { type: 'wait', reason: 'WaitForFirstConsumer', message }
  }
  const volume = chooseVolume(claim, volumes)
  if (volume !== undefined) return { type: 'bind', volume }
  if (storageClassName === '') {
    const message = 'no persistent volumes available for this claim and no storage class is set'
    return { type: 'wait', reason: 'FailedBinding', message }
  }
  if (storageClass === undefined) {
    const message = `storageclass.storage.k8s.io "${storageClassName}" not found`
    return { type: 'wait', reason: 'ProvisioningFailed', message }
  }
  const { provisioner } = storageClass
  if (provisioner === HOST_VOLUME.provisioner) return planHostVolume(claim, storageClass)
  if (provisioner === NO_PROVISIONER) {
    const message = 'no persistent volume of the class is available for this claim'
    return { type: 'wait', reason: 'FailedBinding', message }
  }
  return {
    type: 'wait',
    reason: 'ExternalProvisioning',
    message: `Waiting for a volume to be created either by the external provisioner '${provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.`,
    provisioner,
  }
}

export interface VolumePhase {
  readonly phase: string
  readonly message?: string
}

/** @param claim the one that the volume names; undefined when there is none */
export function phaseOf({ spec, metadata, status }: Volume, claim: Claim | undefined): VolumePhase {
  const { claimRef } = spec
  if (claimRef === undefined || (claimRef.uid ?? '') === '') return { phase: 'Available' }
  if (claim !== undefined && isFor(claimRef, claim)) {
    const own = claim.spec.volumeName === metadata.name
    return { phase: own ? 'Bound' : (status?.phase ?? 'Available') }
  }
  const ours = metadata.annotations?.[PROVISIONED_BY] === undefined
  if (spec.persistentVolumeReclaimPolicy === 'Delete' && ours) {
    return {
      phase: 'Failed',
      message: 'nobody here can delete what the volume holds; remove the volume, or its claimRef',
    }
  }
  return { phase: 'Released' }
}
