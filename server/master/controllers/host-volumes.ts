/**
 * Volumes that are directories of hosts, made for claims of storage classes of Drover's: the scheduler chooses the node
 * of the pod that uses a claim, and the volume is there and nowhere else. Pure.
 */
import path from 'node:path'
import { HOST_VOLUME } from '../../../protocol/index.ts'
import type {
  Draft,
  Frozen,
  PersistentVolume,
  PersistentVolumeClaim,
  StorageClass,
} from '../apiserver/index.ts'
import { SELECTED_NODE } from '../scheduler/index.ts'

/** What one host alone can give. */
const ACCESS_MODES = new Set(['ReadWriteOnce', 'ReadWriteOncePod'])

export type HostVolumePlan =
  | { readonly type: 'make'; readonly volume: Draft<PersistentVolume> }
  | { readonly type: 'wait'; readonly reason: string; readonly message: string }

/** What such a volume cannot be, in words; undefined when all is well. */
function objection(
  { spec }: Frozen<PersistentVolumeClaim>,
  { volumeBindingMode }: Frozen<StorageClass>,
  directory: string,
): string | undefined {
  const mode = spec.accessModes?.find(each => !ACCESS_MODES.has(each))
  if (mode !== undefined) return `access mode ${mode} is not that of a directory of one host`
  if (spec.volumeMode === 'Block') return 'a directory of a host is no block device'
  if (spec.selector !== undefined) return 'claim.Spec.Selector is not supported'
  if (volumeBindingMode !== 'WaitForFirstConsumer')
    return 'the storage class must have volumeBindingMode WaitForFirstConsumer: the host is that of the first pod'
  if (!path.posix.isAbsolute(directory) || path.posix.normalize(directory) !== directory || directory === '/')
    return `parameter directory of the storage class must be an absolute path, not ${JSON.stringify(directory)}`
  return undefined
}

/** What becomes of a claim that no volume is there for. */
export function planHostVolume(
  claim: Frozen<PersistentVolumeClaim>,
  storageClass: Frozen<StorageClass>,
): HostVolumePlan {
  const { namespace = '', name, uid = '', annotations } = claim.metadata
  const directory = storageClass.parameters?.directory ?? HOST_VOLUME.root
  const message = objection(claim, storageClass, directory)
  if (message !== undefined) return { type: 'wait', reason: 'ProvisioningFailed', message }
  const node = annotations?.[SELECTED_NODE] ?? ''
  if (node === '') {
    return {
      type: 'wait',
      reason: 'WaitForPodScheduled',
      message: 'waiting for the pod that uses it to be given a node',
    }
  }
  const volumeName = `pvc-${uid}`
  const matchExpressions = [{ key: 'kubernetes.io/hostname', operator: 'In', values: [node] }]
  return {
    type: 'make',
    volume: {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: {
        name: volumeName,
        labels: { [HOST_VOLUME.host]: node },
        annotations: { [HOST_VOLUME.provisionedBy]: HOST_VOLUME.provisioner },
      },
      spec: {
        capacity: { storage: claim.spec.resources?.requests?.storage ?? '0' },
        accessModes: [...(claim.spec.accessModes ?? [])],
        persistentVolumeReclaimPolicy: storageClass.reclaimPolicy ?? 'Delete',
        storageClassName: storageClass.metadata.name,
        volumeMode: 'Filesystem',
        // The host's agent makes the directory, with the rights that pods need.
        hostPath: { path: path.posix.join(directory, volumeName), type: 'Directory' },
        claimRef: { kind: 'PersistentVolumeClaim', apiVersion: 'v1', namespace, name, uid },
        nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions }] } },
      },
    },
  }
}
