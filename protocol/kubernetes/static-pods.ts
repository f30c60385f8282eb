/** Static pods: a node runs them from files of its own, and the cluster has a mirror of each to show it. */
import type { KubernetesObject } from './types.ts'

/** Annotations of static pods and their mirrors, as Kubernetes' nodes write them. */
export const STATIC_POD = {
  /** Where the node has the pod from: `file`. */
  source: 'kubernetes.io/config.source',
  /** Names the pod's content. */
  hash: 'kubernetes.io/config.hash',
  /** When the node saw the file first. ISO 8601. */
  seen: 'kubernetes.io/config.seen',
  /** Of mirrors alone: the hash of the pod that it shows. */
  mirror: 'kubernetes.io/config.mirror',
} as const

interface Annotated {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> }
}

/** Whether a pod of the cluster only shows a static pod. */
export function isMirror({ metadata }: Annotated): boolean {
  return metadata.annotations?.[STATIC_POD.mirror] !== undefined
}

/** Whether a node has the pod from a file. */
export function isStatic({ metadata }: Annotated & Pick<KubernetesObject, 'metadata'>): boolean {
  return metadata.annotations?.[STATIC_POD.source] === 'file' && !isMirror({ metadata })
}
