/** Chooses the node of a pod: of those that it fits, the one with the fewest of its group, then the emptiest. */
import { explainUnschedulable, reasonsAgainst } from './filters.ts'
import type { NodeState } from './node-state.ts'
import type { PodDemand } from './pod-demand.ts'

export type Choice =
  | { readonly type: 'node'; readonly node: NodeState }
  | { readonly type: 'none'; readonly message: string }

/** The part of a node that would be free with the pod on it: 1 is empty, 0 is full (Kubernetes' LeastAllocated). */
export function freeShare(pod: PodDemand, node: NodeState): number {
  const { allocatable } = node.facts ?? {}
  if (allocatable === undefined) return 0
  const share = (wanted: number, all: number) => (all <= 0 ? 0 : Math.max(0, 1 - wanted / all))
  return (
    (share(node.assumedCpu + pod.assumedCpu, allocatable.cpu) +
      share(node.assumedMemory + pod.assumedMemory, allocatable.memory)) /
    2
  )
}

/**
 * @param random a number in [0, 1); decides between nodes that are equally good, so that the first in the list is not
 *   always the one
 */
export function chooseNode(pod: PodDemand, nodes: Iterable<NodeState>, random: () => number): Choice {
  const reasons = new Map<string, number>()
  let seen = 0
  let best: NodeState | undefined
  let bestGroup = 0
  let bestShare = 0
  let equals = 0
  for (const node of nodes) {
    // Only pods speak of it, from before it was removed.
    if (node.facts === undefined) continue
    seen += 1
    const against = reasonsAgainst(pod, node)
    if (against.length > 0) {
      for (const reason of against) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
      continue
    }
    const group = pod.spreadGroup === '' ? 0 : node.groupSize(pod.spreadGroup)
    const share = freeShare(pod, node)
    if (best === undefined || group < bestGroup || (group === bestGroup && share > bestShare)) {
      best = node
      bestGroup = group
      bestShare = share
      equals = 1
    } else if (group === bestGroup && share === bestShare) {
      equals += 1
      if (random() * equals < 1) best = node
    }
  }
  if (best !== undefined) return { type: 'node', node: best }
  return { type: 'none', message: explainUnschedulable(reasons, seen) }
}
