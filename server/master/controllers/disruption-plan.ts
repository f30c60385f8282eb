/**
 * How many pods may be taken away of those that a disruption budget is about (Kubernetes "Disruptions"). Pure; times are
 * milliseconds since 1970.
 */
import type { Condition, Frozen, Pod, PodDisruptionBudget } from '../apiserver/index.ts'
import { isOver } from '../apiserver/index.ts'
import { countOf } from './counts.ts'

/** An eviction that was allowed and whose pod is still there after so long did not happen. */
const EVICTION_PATIENCE = 120_000

export interface BudgetInput {
  readonly budget: Frozen<PodDisruptionBudget>
  /** Those that the budget's selector chooses. */
  readonly pods: readonly Frozen<Pod>[]
  /** How many there should be: what the owners of the pods want; undefined when some owner is not known. */
  readonly expected: number | undefined
}

export interface BudgetPlan {
  readonly status: NonNullable<PodDisruptionBudget['status']>
  /** When an allowed eviction is no longer waited for. */
  readonly lookAt: number | undefined
}

export function isHealthy({ metadata, status }: Frozen<Pod>): boolean {
  if (metadata.deletionTimestamp !== undefined) return false
  return status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true
}

/** How many have to be healthy, of so many that there should be. */
function desiredHealthy({ spec }: Frozen<PodDisruptionBudget>, expected: number): number {
  if (spec.maxUnavailable !== undefined)
    return Math.max(0, expected - countOf(spec.maxUnavailable, expected, 'up'))
  return countOf(spec.minAvailable, expected, 'up')
}

/** Evictions that were allowed and whose pods are still there. */
function pendingEvictions({ budget, pods }: BudgetInput, now: number): Map<string, string> {
  const present = new Map(pods.map(pod => [pod.metadata.name, pod]))
  const entries = Object.entries(budget.status?.disruptedPods ?? {}).filter(([name, time]) => {
    const pod = present.get(name)
    const waited = now - Date.parse(time)
    return pod !== undefined && pod.metadata.deletionTimestamp === undefined && waited < EVICTION_PATIENCE
  })
  return new Map(entries)
}

function conditionOf(
  allowed: number,
  known: boolean,
  before: Frozen<Condition> | undefined,
  now: string,
): Condition {
  const is = known && allowed > 0 ? 'True' : 'False'
  const reason = known ? (allowed > 0 ? 'SufficientPods' : 'InsufficientPods') : 'SyncFailed'
  const same = before?.status === is && before.lastTransitionTime !== undefined
  return {
    type: 'DisruptionAllowed',
    status: is,
    reason,
    message: known ? '' : 'a pod has no owner that says how many there should be',
    lastTransitionTime: same ? (before.lastTransitionTime ?? now) : now,
  }
}

export function planBudget(input: BudgetInput, now: number, nowText: string): BudgetPlan {
  const { budget, expected } = input
  const pods = input.pods.filter(pod => !isOver(pod))
  const pending = pendingEvictions(input, now)
  const healthy = pods.filter(pod => isHealthy(pod) && !pending.has(pod.metadata.name)).length
  // A fixed number needs nobody to say how many there should be.
  const byCount = budget.spec.maxUnavailable === undefined && typeof budget.spec.minAvailable === 'number'
  const total = byCount ? pods.length : expected
  const desired = total === undefined ? 0 : desiredHealthy(budget, total)
  const allowed = total === undefined || total === 0 ? 0 : Math.max(0, healthy - desired)
  const others = (budget.status?.conditions ?? []).filter(({ type }) => type !== 'DisruptionAllowed')
  const before = budget.status?.conditions?.find(({ type }) => type === 'DisruptionAllowed')
  const waits = [...pending.values()].map(time => Date.parse(time) + EVICTION_PATIENCE)
  return {
    status: {
      observedGeneration: budget.metadata.generation ?? 0,
      disruptionsAllowed: allowed,
      currentHealthy: healthy,
      desiredHealthy: desired,
      expectedPods: total ?? 0,
      conditions: [
        ...others.map(each => ({ ...each })),
        conditionOf(allowed, total !== undefined, before, nowText),
      ],
      ...(pending.size === 0 ? {} : { disruptedPods: Object.fromEntries(pending) }),
    },
    lookAt: waits.length === 0 ? undefined : Math.min(...waits),
  }
}
