/** What has to be done next for a pod that should run. Pure. */
import type { Pod } from '../../protocol/kubernetes/index.ts'
import type { ContainerView, PodView, SandboxView } from './pod-view.ts'
import { shouldRestart } from './restart-policy.ts'

/** What should happen to one container of the pod. */
export type ContainerDecision =
  | { readonly kind: 'keep' }
  /** Make and start it as the given attempt. */
  | { readonly kind: 'start'; readonly attempt: number }
  /** It was made but never started: start it. */
  | { readonly kind: 'start-made'; readonly id: string }
  /** Start it again in so many milliseconds. */
  | { readonly kind: 'wait'; readonly milliseconds: number }
  /** It ended and stays ended. */
  | { readonly kind: 'done' }

export interface PodPlan {
  /** Docker ids of running containers to end at once: their sandbox is gone, and their network with it. */
  readonly kill: readonly string[]
  /** Docker ids to remove first: what belongs to sandboxes that are gone, and runs nobody will look at. */
  readonly remove: readonly string[]
  readonly sandbox:
    | { readonly kind: 'keep'; readonly view: SandboxView }
    | { readonly kind: 'make'; readonly attempt: number }
    /** It ended, and another is to be made in so many milliseconds. */
    | { readonly kind: 'wait'; readonly milliseconds: number }
  /** Per container of the pod's specification. Empty while a sandbox is to be made. */
  readonly containers: ReadonlyMap<string, ContainerDecision>
}

export interface PlanContext {
  /** Whether a running sandbox has its network. */
  readonly attached: (sandboxId: string) => boolean
  /** Milliseconds left before a container may be started again. */
  readonly restartIn: (view: ContainerView) => number
  /** Milliseconds left before a sandbox may take the place of one that ended. */
  readonly replaceIn: (view: SandboxView) => number
}

function decide(
  policy: NonNullable<Pod['spec']['restartPolicy']>,
  newest: ContainerView | undefined,
  sandboxId: string,
  context: PlanContext,
): ContainerDecision {
  if (newest === undefined) return { kind: 'start', attempt: 0 }
  const { status, exitCode, error, id } = newest.details
  if (newest.sandboxId === sandboxId) {
    if (status === 'running' || status === 'paused') return { kind: 'keep' }
    if (status === 'created' && error === '') return { kind: 'start-made', id }
  }
  // In another sandbox it cannot go on; whether it begins anew depends on how it ended.
  const ended = status === 'exited' || status === 'created'
  if (ended && newest.details.startedAt !== undefined && !shouldRestart(policy, exitCode))
    return { kind: 'done' }
  const wait = context.restartIn(newest)
  return wait > 0 ? { kind: 'wait', milliseconds: wait } : { kind: 'start', attempt: newest.attempt + 1 }
}

/** Plans one step towards a running pod. */
export function planPod(pod: Pod, view: PodView, context: PlanContext): PodPlan {
  const policy = pod.spec.restartPolicy ?? 'Always'
  const newest = view.sandboxes[0]
  const usable =
    newest?.details.status === 'running' && context.attached(newest.details.id) ? newest : undefined
  const names = new Set(pod.spec.containers.map(({ name }) => name))
  const kill: string[] = []
  const remove: string[] = view.sandboxes
    .filter(sandbox => sandbox !== usable)
    .map(({ details }) => details.id)
  const decisions = new Map<string, ContainerDecision>()
  for (const [name, runs] of view.containers) {
    // The last run that ended is kept for its log; those before it are not.
    const kept = names.has(name) ? 2 : 0
    for (const run of runs.slice(kept)) remove.push(run.details.id)
    for (const run of runs.slice(0, kept)) {
      const lost = usable === undefined || run.sandboxId !== usable.details.id
      if (lost && run.details.status === 'created') remove.push(run.details.id)
      else if (lost && run.details.status !== 'exited') kill.push(run.details.id)
    }
  }
  if (usable === undefined) {
    const over = [...names].every(name => {
      const run = view.containers.get(name)?.[0]?.details
      return run?.status === 'exited' && !shouldRestart(policy, run.exitCode)
    })
    // A pod whose containers all ended for good needs no network any more.
    if (over && newest !== undefined) {
      return {
        kill,
        remove: remove.filter(id => id !== newest.details.id),
        sandbox: { kind: 'keep', view: newest },
        containers: new Map([...names].map(name => [name, { kind: 'done' as const }])),
      }
    }
    const wait = newest === undefined ? 0 : context.replaceIn(newest)
    if (wait > 0) {
      // What ended stays until then: it says since when.
      return { kill, remove: [], sandbox: { kind: 'wait', milliseconds: wait }, containers: decisions }
    }
    return {
      kill,
      remove,
      sandbox: { kind: 'make', attempt: newest === undefined ? 0 : newest.attempt + 1 },
      containers: decisions,
    }
  }
  for (const name of names) {
    decisions.set(name, decide(policy, view.containers.get(name)?.[0], usable.details.id, context))
  }
  return { kill, remove, sandbox: { kind: 'keep', view: usable }, containers: decisions }
}
