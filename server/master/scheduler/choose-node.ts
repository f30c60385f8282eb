/**
 * Chooses the node of a pod: of those that it fits, the one that suits its wishes best, then the one with the fewest of
 * its group, then the emptiest, where images that are there already count as much as room.
 */
import type { Frozen, NodeSelectorTerm } from '../apiserver/index.ts'
import { explainUnschedulable, meetsTerm, reasonsAgainst } from './filters.ts'
import type { Neighbourhood } from './neighbourhood.ts'
import type { NodeState } from './node-state.ts'
import type { PodDemand } from './pod-demand.ts'
import { VOLUME_CONFLICT } from './volume-demand.ts'
import { wishScores } from './wishes.ts'

export type Choice =
  | { readonly type: 'node'; readonly node: NodeState }
  | { readonly type: 'none'; readonly message: string }

/** What a pod depends on besides the node itself. */
export interface Surroundings {
  readonly neighbourhood: Neighbourhood
  /** Of its volumes: of each list, one term must hold. */
  readonly volumeTerms: readonly Frozen<NodeSelectorTerm[]>[]
  /** More important pods that wait for room on a node; it is theirs. */
  readonly nominated: (node: NodeState) => NodeState
  /** From 0 to 100, by name of the nodes that have images of the pod already. */
  readonly imageScores: ReadonlyMap<string, number>
}

/** The part of a node that would be free with the pod on it: 1 is empty, 0 is full (Kubernetes' LeastAllocated). */
function freeShare(pod: PodDemand, node: NodeState): number {
  const { allocatable } = node.facts ?? {}
  if (allocatable === undefined) return 0
  const share = (wanted: number, all: number) => (all <= 0 ? 0 : Math.max(0, 1 - wanted / all))
  return (
    (share(node.assumedCpu + pod.assumedCpu, allocatable.cpu) +
      share(node.assumedMemory + pod.assumedMemory, allocatable.memory)) /
    2
  )
}

function refusals(pod: PodDemand, node: NodeState, surroundings: Surroundings): readonly string[] {
  const against = reasonsAgainst(pod, surroundings.nominated(node))
  if (against.length > 0) return against
  const others = reasonAround(node, surroundings)
  return others === undefined ? [] : [others]
}

/** Why a pod cannot go to a node although it fits on it; undefined when it can. */
export function reasonAround(
  { name, facts }: NodeState,
  { volumeTerms, neighbourhood }: Surroundings,
): string | undefined {
  const labels = facts?.labels ?? {}
  const holds = (terms: Frozen<NodeSelectorTerm[]>) => terms.some(term => meetsTerm(term, name, labels))
  return volumeTerms.every(holds) ? neighbourhood.reasonAgainst(labels) : VOLUME_CONFLICT
}

/**
 * @param random a number in [0, 1); decides between nodes that are equally good, so that the first in the list is not
 *   always the one
 */
export function chooseNode(
  pod: PodDemand,
  nodes: Iterable<NodeState>,
  surroundings: Surroundings,
  random: () => number,
): Choice {
  const reasons = new Map<string, number>()
  const fitting: NodeState[] = []
  let seen = 0
  for (const node of nodes) {
    // Only pods speak of it, from before it was removed.
    if (node.facts === undefined) continue
    seen += 1
    const against = refusals(pod, node, surroundings)
    if (against.length === 0) fitting.push(node)
    else for (const reason of against) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
  }
  const best = bestOf(pod, fitting, surroundings, random)
  if (best !== undefined) return { type: 'node', node: best }
  return { type: 'none', message: explainUnschedulable(reasons, seen) }
}

function bestOf(
  pod: PodDemand,
  nodes: readonly NodeState[],
  { neighbourhood, imageScores }: Surroundings,
  random: () => number,
): NodeState | undefined {
  const scores = wishScores(pod, nodes, neighbourhood)
  let best: NodeState | undefined
  let bestScore = 0
  let bestGroup = 0
  let bestShare = 0
  let equals = 0
  for (const [index, node] of nodes.entries()) {
    const score = scores?.[index] ?? 0
    const group = pod.spreadGroup === '' ? 0 : node.groupSize(pod.spreadGroup)
    const share = freeShare(pod, node) + (imageScores.get(node.name) ?? 0) / 100
    const order = bestScore - score || group - bestGroup || bestShare - share
    if (best === undefined || order < 0) {
      best = node
      bestScore = score
      bestGroup = group
      bestShare = share
      equals = 1
    } else if (order === 0) {
      equals += 1
      if (random() * equals < 1) best = node
    }
  }
  return best
}
