/** Claims that name no storage class get the default one (Kubernetes' DefaultStorageClass). */
import type { Frozen } from '../json.ts'
import type { PersistentVolumeClaim, StorageClass } from '../objects.ts'
import type { AdmissionRequest } from './request.ts'

const DEFAULT_CLASS = 'storageclass.kubernetes.io/is-default-class'

/** Sets the class; the youngest of several defaults, then the first by name. */
export function setStorageClass({ cluster }: AdmissionRequest, claim: PersistentVolumeClaim): void {
  // An empty name means: no class, on purpose.
  if (claim.spec.storageClassName !== undefined) return
  const [chosen] = cluster
    .list('storage.k8s.io/storageclasses', undefined)
    .map(stored => cluster.read(stored) as Frozen<StorageClass>)
    .filter(({ metadata }) => metadata.annotations?.[DEFAULT_CLASS] === 'true')
    .sort(({ metadata: a }, { metadata: b }) => {
      const [before = '', after = ''] = [b.creationTimestamp, a.creationTimestamp]
      return before < after ? -1 : before > after ? 1 : a.name < b.name ? -1 : 1
    })
  if (chosen !== undefined) claim.spec.storageClassName = chosen.metadata.name
}
