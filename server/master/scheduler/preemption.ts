/** Which pods have to go so that a more important one fits (Kubernetes "Pod Priority and Preemption"). Pure. */
import { reasonAround, type Surroundings } from './choose-node.ts'
import { reasonsAgainst } from './filters.ts'
import type { NodeState } from './node-state.ts'
import type { PodDemand } from './pod-demand.ts'

export interface Preemption {
  readonly node: NodeState
  /** Least important first. */
  readonly victims: readonly PodDemand[]
}

/** The fewest pods of less importance whose end makes room on a node; undefined when that is not enough. */
function victimsOn(pod: PodDemand, node: NodeState, surroundings: Surroundings): PodDemand[] | undefined {
  if (node.facts === undefined || reasonAround(node, surroundings) !== undefined) return undefined
  const lesser = [...node.pods].filter(({ priority }) => priority < pod.priority)
  if (lesser.length === 0) return undefined
  const left = node.copy()
  for (const { key } of lesser) left.remove(key)
  if (reasonsAgainst(pod, left).length > 0) return undefined
  // The most important ones stay if there is room for them beside the newcomer.
  left.add(pod)
  const victims: PodDemand[] = []
  for (const candidate of lesser.toSorted((a, b) => b.priority - a.priority)) {
    if (reasonsAgainst(candidate, left).length > 0) victims.push(candidate)
    else left.add(candidate)
  }
  return victims.toReversed()
}

function sum(victims: readonly PodDemand[]): number {
  return victims.reduce((total, { priority }) => total + priority, 0)
}

/** Whether the ends of one choice cost less: the most important victim, then all of them, then how many. */
function isCheaper(one: Preemption, other: Preemption): boolean {
  const highest = ({ victims }: Preemption) => victims.at(-1)?.priority ?? Number.NEGATIVE_INFINITY
  return (
    (highest(one) - highest(other) ||
      sum(one.victims) - sum(other.victims) ||
      one.victims.length - other.victims.length) < 0
  )
}

/** The node where making room costs least; undefined where it is of no use. */
export function choosePreemption(
  pod: PodDemand,
  nodes: Iterable<NodeState>,
  surroundings: Surroundings,
): Preemption | undefined {
  if (!pod.preempts) return undefined
  let best: Preemption | undefined
  for (const node of nodes) {
    const victims = victimsOn(pod, node, surroundings)
    if (victims === undefined || victims.length === 0) continue
    const found = { node, victims }
    if (best === undefined || isCheaper(found, best)) best = found
  }
  return best
}
