/**
 * What a job says about ends of its pods: which failures count, end a task or end the job (`podFailurePolicy`), and when
 * enough has succeeded (`successPolicy`). Pure.
 */
import type { Frozen, Job } from '../apiserver/index.ts'
import { parseIndexes } from './job-indexes.ts'
import type { OwnedPod } from './owned-pods.ts'

interface FailureRule {
  readonly action: string
  readonly onExitCodes?: {
    readonly containerName?: string
    readonly operator: string
    readonly values: readonly number[]
  }
  readonly onPodConditions?: readonly { readonly type: string; readonly status?: string }[]
}

interface SuccessRule {
  readonly succeededIndexes?: string
  readonly succeededCount?: number
}

export type FailureAction = 'Count' | 'Ignore' | 'FailIndex' | 'FailJob'

/** What a failure means, and why, in the words of Kubernetes. */
export interface FailureVerdict {
  readonly action: FailureAction
  readonly message: string
}

const COUNT: FailureVerdict = { action: 'Count', message: '' }
const ACTIONS: ReadonlySet<string> = new Set(['Count', 'Ignore', 'FailIndex', 'FailJob'])

function matchingExit(pod: OwnedPod, wanted: NonNullable<FailureRule['onExitCodes']>) {
  return pod.exits.find(
    ({ container, code }) =>
      // Those that ended well are no failure's cause.
      code !== 0 &&
      (wanted.containerName === undefined || wanted.containerName === container) &&
      wanted.values.includes(code) === (wanted.operator === 'In'),
  )
}

/** @param pod one that failed */
export function failureVerdict({ spec }: Frozen<Job>, pod: OwnedPod): FailureVerdict {
  const { rules = [] } = (spec.podFailurePolicy ?? {}) as { readonly rules?: readonly FailureRule[] }
  for (const [index, { action, onExitCodes, onPodConditions = [] }] of rules.entries()) {
    if (!ACTIONS.has(action)) continue
    const found = (why: string): FailureVerdict => ({
      action: action as FailureAction,
      message: `${why} matching ${action} rule at index ${index}`,
    })
    const name = `${pod.namespace}/${pod.name}`
    const exit = onExitCodes === undefined ? undefined : matchingExit(pod, onExitCodes)
    if (exit !== undefined)
      return found(`Container ${exit.container} for pod ${name} failed with exit code ${exit.code}`)
    const condition = onPodConditions.find(({ type, status = 'True' }) =>
      pod.conditions.some(each => each.type === type && each.status === status),
    )
    if (condition !== undefined) return found(`Pod ${name} has condition ${condition.type}`)
  }
  return COUNT
}

/** Why enough has succeeded; undefined when it has not. @param indexes of tasks that are done */
export function successReason({ spec }: Frozen<Job>, indexes: ReadonlySet<number>): string | undefined {
  const { rules = [] } = (spec.successPolicy ?? {}) as { readonly rules?: readonly SuccessRule[] }
  for (const [index, { succeededIndexes, succeededCount }] of rules.entries()) {
    const wanted = succeededIndexes === undefined ? undefined : parseIndexes(succeededIndexes)
    const done = wanted === undefined ? indexes : indexes.intersection(wanted)
    const enough = succeededCount ?? wanted?.size
    if (enough !== undefined && enough > 0 && done.size >= enough) return `Matched rules at index ${index}`
  }
  return undefined
}
