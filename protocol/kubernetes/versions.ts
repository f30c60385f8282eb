/** Versions of Kubernetes that clusters can speak. */

export const KUBERNETES_VERSIONS = ['1.32', '1.36'] as const
export type KubernetesVersion = (typeof KUBERNETES_VERSIONS)[number]

/** What a cluster speaks as long as nobody chose. */
export const DEFAULT_KUBERNETES_VERSION: KubernetesVersion = '1.36'

export function isKubernetesVersion(text: unknown): text is KubernetesVersion {
  return (KUBERNETES_VERSIONS as readonly unknown[]).includes(text)
}
