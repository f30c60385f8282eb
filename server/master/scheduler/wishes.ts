/** How well a node suits what a pod would like but does not demand: Kubernetes' scores, by its weights. */
import { meetsTerm, tolerates } from './filters.ts'
import type { Neighbourhood } from './neighbourhood.ts'
import type { NodeState } from './node-state.ts'
import type { PodDemand } from './pod-demand.ts'

const FULL = 100
/** Of kube-scheduler's default profile. */
const WEIGHTS = { taints: 3, affinity: 2, attraction: 2, spread: 2 } as const

/** Brings raw figures to 0…100; all equal are 0. */
function normalized(raw: readonly number[], moreIsBetter: boolean): number[] {
  const least = Math.min(...raw)
  const most = Math.max(...raw)
  if (least === most) return raw.map(() => 0)
  return raw.map(value => {
    const share = (value - least) / (most - least)
    return FULL * (moreIsBetter ? share : 1 - share)
  })
}

function attractedBy({ preferredTerms }: PodDemand, { name, facts }: NodeState): number {
  let sum = 0
  for (const { weight, preference } of preferredTerms) {
    if (facts !== undefined && meetsTerm(preference, name, facts.labels)) sum += weight
  }
  return sum
}

function repelledBy({ tolerations }: PodDemand, { facts }: NodeState): number {
  let count = 0
  for (const taint of facts?.mildTaints ?? []) {
    if (!tolerations.some(toleration => tolerates(toleration, taint))) count += 1
  }
  return count
}

/** Scores of nodes, in their order; undefined when all are equally good. */
export function wishScores(
  pod: PodDemand,
  nodes: readonly NodeState[],
  neighbourhood: Neighbourhood,
): readonly number[] | undefined {
  const parts: number[][] = []
  const score = (raw: (node: NodeState) => number, weight: number, moreIsBetter: boolean) => {
    parts.push(normalized(nodes.map(raw), moreIsBetter).map(value => value * weight))
  }
  if (nodes.some(({ facts }) => (facts?.mildTaints.length ?? 0) > 0)) {
    score(node => repelledBy(pod, node), WEIGHTS.taints, false)
  }
  if (pod.preferredTerms.length > 0) score(node => attractedBy(pod, node), WEIGHTS.affinity, true)
  if (neighbourhood.hasWishes) {
    score(({ facts }) => neighbourhood.attraction(facts?.labels ?? {}), WEIGHTS.attraction, true)
    score(({ facts }) => neighbourhood.crowd(facts?.labels ?? {}), WEIGHTS.spread, false)
  }
  if (parts.length === 0) return undefined
  return nodes.map((_, index) => parts.reduce((sum, part) => sum + (part[index] ?? 0), 0))
}
