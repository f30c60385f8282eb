/** Which pod is ended first when the host has too little (Kubernetes "Node-pressure Eviction"). Pure. */
import { isStatic, type Pod, parseQuantity } from '../../protocol/kubernetes/index.ts'
import type { Signal } from './settings.ts'

/** What a pod uses. Bytes, but for the processes. */
export interface PodUsage {
  readonly memory: number
  readonly disk: number
  readonly processes: number
  /** Bytes of memory, and of disk, by container. */
  readonly containers: ReadonlyMap<string, { readonly memory: number; readonly disk: number }>
}

export interface Candidate {
  readonly pod: Pod
  /** Undefined when it could not be measured: then it is taken for the worst, as the kubelet does it. */
  readonly usage: PodUsage | undefined
}

/** Priorities from here on are those of the system (`system-cluster-critical`, `system-node-critical`). */
const CRITICAL = 2_000_000_000

/** Pods without which the host or the cluster does not work are never ended. */
export function isCritical(pod: Pod): boolean {
  return isStatic(pod) || (pod.spec.priority ?? 0) >= CRITICAL
}

export type Resource = 'memory' | 'ephemeral-storage' | 'pids'

/** What is to be had back, for a signal. */
export function resourceOf(signal: Signal): Resource {
  if (signal === 'memory.available') return 'memory'
  return signal === 'pid.available' ? 'pids' : 'ephemeral-storage'
}

/** What the containers of a pod asked for. */
export function requestOf({ spec }: Pod, resource: Resource, container?: string): number {
  return spec.containers
    .filter(({ name }) => container === undefined || name === container)
    .reduce((sum, { resources }) => {
      const text = resources?.requests?.[resource] ?? resources?.limits?.[resource]
      return sum + ((text === undefined ? undefined : parseQuantity(text)) ?? 0)
    }, 0)
}

function usedOf(usage: PodUsage, resource: Resource): number {
  switch (resource) {
    case 'memory':
      return usage.memory
    case 'ephemeral-storage':
      return usage.disk
    case 'pids':
      return usage.processes
  }
}

/** Those that may be ended, the first one first: what uses more than it asked for, is worth less, and uses most beyond its request. */
export function rankPods(candidates: readonly Candidate[], resource: Resource): readonly Candidate[] {
  const facts = new Map(
    candidates.map(candidate => {
      const { pod, usage } = candidate
      const beyond =
        usage === undefined ? Number.POSITIVE_INFINITY : usedOf(usage, resource) - requestOf(pod, resource)
      // Nobody asks for processes.
      return [candidate, { exceeds: resource !== 'pids' && beyond > 0, beyond }] as const
    }),
  )
  const factOf = (candidate: Candidate) => facts.get(candidate) ?? { exceeds: false, beyond: 0 }
  return candidates
    .filter(({ pod }) => !isCritical(pod))
    .toSorted((a, b) => {
      const [first, second] = [factOf(a), factOf(b)]
      if (first.exceeds !== second.exceeds) return first.exceeds ? -1 : 1
      const priority = (a.pod.spec.priority ?? 0) - (b.pod.spec.priority ?? 0)
      if (priority !== 0) return priority
      return first.beyond === second.beyond ? 0 : second.beyond - first.beyond
    })
}
