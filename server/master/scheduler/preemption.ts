/** Which pods have to go so that a more important one fits (Kubernetes "Pod Priority and Preemption"). Pure. */
import type { BudgetsOf } from './budgets.ts'
import { reasonAround, type Surroundings } from './choose-node.ts'
import { reasonsAgainst } from './filters.ts'
import type { NodeState } from './node-state.ts'
import type { PodDemand } from './pod-demand.ts'

export interface Preemption {
  readonly node: NodeState
  /** Least important first. */
  readonly victims: readonly PodDemand[]
  /** How many of them budgets do not allow to end. */
  readonly violations: number
}

/** Of pods that would end, those whose end their budgets do not allow any more; the most important ones come first. */
function violating(pods: readonly PodDemand[], budgetsOf: BudgetsOf): ReadonlySet<PodDemand> {
  const left = new Map<string, number>()
  return new Set(
    pods.filter(pod => {
      let violates = false
      for (const { key, allowed } of budgetsOf(pod)) {
        const now = (left.get(key) ?? allowed) - 1
        left.set(key, now)
        if (now < 0) violates = true
      }
      return violates
    }),
  )
}

/** The fewest pods of less importance whose end makes room on a node; undefined when that is not enough. */
function victimsOn(
  pod: PodDemand,
  node: NodeState,
  surroundings: Surroundings,
  budgetsOf: BudgetsOf,
): Preemption | undefined {
  if (node.facts === undefined || reasonAround(node, surroundings) !== undefined) return undefined
  const lesser = [...node.pods].filter(({ priority }) => priority < pod.priority)
  if (lesser.length === 0) return undefined
  const left = node.copy()
  for (const { key } of lesser) left.remove(key)
  if (reasonsAgainst(pod, left).length > 0) return undefined
  // Those whose end is not allowed stay first, then the most important ones, if there is room beside the newcomer.
  left.add(pod)
  const sorted = lesser.toSorted((a, b) => b.priority - a.priority)
  const protectedOnes = violating(sorted, budgetsOf)
  const order = [...protectedOnes, ...sorted.filter(each => !protectedOnes.has(each))]
  const victims = order.filter(candidate => {
    if (reasonsAgainst(candidate, left).length > 0) return true
    left.add(candidate)
    return false
  })
  return {
    node,
    victims: victims.toSorted((a, b) => a.priority - b.priority),
    violations: victims.filter(each => protectedOnes.has(each)).length,
  }
}

function sum(victims: readonly PodDemand[]): number {
  return victims.reduce((total, { priority }) => total + priority, 0)
}

/** Whether one choice costs less: what budgets do not allow, then the most important victim, all of them, how many. */
function isCheaper(one: Preemption, other: Preemption): boolean {
  const highest = ({ victims }: Preemption) => victims.at(-1)?.priority ?? Number.NEGATIVE_INFINITY
  return (
    (one.violations - other.violations ||
      highest(one) - highest(other) ||
      sum(one.victims) - sum(other.victims) ||
      one.victims.length - other.victims.length) < 0
  )
}

/** The node where making room costs least; undefined where it is of no use. */
export function choosePreemption(
  pod: PodDemand,
  nodes: Iterable<NodeState>,
  surroundings: Surroundings,
  budgetsOf: BudgetsOf,
): Preemption | undefined {
  if (!pod.preempts) return undefined
  let best: Preemption | undefined
  for (const node of nodes) {
    const found = victimsOn(pod, node, surroundings, budgetsOf)
    if (found === undefined || found.victims.length === 0) continue
    if (best === undefined || isCheaper(found, best)) best = found
  }
  return best
}
