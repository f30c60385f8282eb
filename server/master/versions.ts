/** Which version of Kubernetes a cluster speaks. It is kept with the cluster's own objects, which nobody else sees. */
import { isDroverError } from '../../kit/index.ts'
import {
  DEFAULT_KUBERNETES_VERSION,
  isKubernetesVersion,
  KUBERNETES_VERSIONS,
  type KubernetesVersion,
} from '../../protocol/kubernetes/index.ts'
import type { ObjectKey, Space } from '../store/index.ts'
import { masterErrors } from './errors.ts'

/** No kind of Kubernetes' is kept under a name like this. */
const KEY: ObjectKey = { kind: 'drover.io/settings', namespace: '', name: 'cluster' }

/** @throws `UnknownVersion` when this program is too old for what the cluster was raised to */
export function versionOf(space: Space): KubernetesVersion {
  const stored = space.get(KEY)
  if (stored === undefined) return DEFAULT_KUBERNETES_VERSION
  const { kubernetesVersion } = JSON.parse(stored.json) as { kubernetesVersion?: unknown }
  if (isKubernetesVersion(kubernetesVersion)) return kubernetesVersion
  throw masterErrors.UnknownVersion({
    object: `Kubernetes ${String(kubernetesVersion)} of cluster ${space.id}`,
    expected: `one of ${KUBERNETES_VERSIONS.join(', ')}`,
  })
}

/** @returns whether it was another one before */
export async function chooseVersion(space: Space, version: KubernetesVersion): Promise<boolean> {
  if (versionOf(space) === version) return false
  const encode = () => JSON.stringify({ kubernetesVersion: version })
  try {
    if (space.get(KEY) === undefined) await space.create(KEY, encode)
    else await space.update(KEY, encode)
  } catch (error) {
    // Somebody else was faster, with a choice of their own that counts as much.
    if (!isDroverError(error, 'AlreadyExists') && !isDroverError(error, 'NotFound')) throw error
  }
  return true
}
