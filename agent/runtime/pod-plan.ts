/** What has to be done next for a pod that should run. Pure. */
import type { Container, EphemeralContainer, Pod } from '../../protocol/kubernetes/index.ts'
import type { ContainerView, PodView, SandboxView } from './pod-view.ts'
import { shouldRestart } from './restart-policy.ts'

/** What should happen to one container of the pod. */
export type ContainerDecision =
  | { readonly kind: 'keep' }
  /** Make and start it as the given attempt. */
  | {
      readonly kind: 'start'
      readonly attempt: number
      /** Docker's id of the container whose processes it is to see. */
      readonly processesOf?: string
    }
  /** It cannot be made as long as something is not there. */
  | { readonly kind: 'blocked'; readonly message: string }
  /** It was made but never started: start it. */
  | { readonly kind: 'start-made'; readonly id: string }
  /** Start it again in so many milliseconds. */
  | { readonly kind: 'wait'; readonly milliseconds: number }
  /** It runs, and is to have what the pod asks for now. */
  | { readonly kind: 'resize'; readonly view: ContainerView }
  /** It ended and stays ended. */
  | { readonly kind: 'done' }
  /** Its turn comes later: others have to do their work first. */
  | { readonly kind: 'hold' }
  /** It is to end: it is not well, or a sidecar that nobody needs any more. */
  | { readonly kind: 'stop'; readonly view: ContainerView; readonly unwell: boolean }

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
  /** Whether a running container has got so far that those after it may start. */
  readonly started: (view: ContainerView) => boolean
  /** Whether a running container has to be ended because it does not work. */
  readonly unwell: (view: ContainerView) => boolean
  /** Whether a running container is to have other resources, and can have them as it is. */
  readonly resize: (view: ContainerView) => 'none' | 'in-place' | 'restart'
  /** Milliseconds left before a sandbox may take the place of one that ended. */
  readonly replaceIn: (view: SandboxView) => number
}

type Policy = NonNullable<Pod['spec']['restartPolicy']>

function decide(
  policy: Policy,
  newest: ContainerView | undefined,
  sandboxId: string,
  context: PlanContext,
): ContainerDecision {
  if (newest === undefined) return { kind: 'start', attempt: 0 }
  const { status, exitCode, error, id } = newest.details
  if (newest.sandboxId === sandboxId) {
    if (status === 'running' || status === 'paused') {
      const resize = context.resize(newest)
      if (context.unwell(newest) || resize === 'restart') return { kind: 'stop', view: newest, unwell: true }
      return resize === 'in-place' ? { kind: 'resize', view: newest } : { kind: 'keep' }
    }
    if (status === 'created' && error === '') return { kind: 'start-made', id }
  }
  // In another sandbox it cannot go on; whether it begins anew depends on how it ended.
  const ended = status === 'exited' || status === 'created'
  if (ended && newest.details.startedAt !== undefined && !shouldRestart(policy, exitCode))
    return { kind: 'done' }
  const wait = context.restartIn(newest)
  return wait > 0 ? { kind: 'wait', milliseconds: wait } : { kind: 'start', attempt: newest.attempt + 1 }
}

const isSidecar = ({ restartPolicy }: Container) => restartPolicy === 'Always'

function endedBadly(view: ContainerView | undefined): boolean {
  return view?.details.status === 'exited' && view.details.exitCode !== 0
}

/** Whether an init container has failed in a pod that does not try again; then none of the others ever starts. */
export function initFailed({ spec }: Pod, view: PodView): boolean {
  if (spec.restartPolicy !== 'Never') return false
  const began = spec.containers.some(({ name }) => view.containers.has(name))
  return (
    !began &&
    (spec.initContainers ?? []).some(
      each => !isSidecar(each) && endedBadly(view.containers.get(each.name)?.[0]),
    )
  )
}

/** Whether everything that the pod is for has ended for good. */
export function isOver(pod: Pod, view: PodView): boolean {
  const policy = pod.spec.restartPolicy ?? 'Always'
  const ended = pod.spec.containers.every(({ name }) => {
    const run = view.containers.get(name)?.[0]?.details
    return run?.status === 'exited' && !shouldRestart(policy, run.exitCode)
  })
  return ended || initFailed(pod, view)
}

interface InitDecisions {
  readonly decisions: ReadonlyMap<string, ContainerDecision>
  /** Whether the pod's own containers have their turn. */
  readonly passed: boolean
}

/**
 * What happens to the init containers: one after the other, each when the one before it has succeeded, or, for a sidecar, has
 * started. Once the pod's own containers have begun in this sandbox, only sidecars matter.
 */
function decideInit(pod: Pod, view: PodView, sandboxId: string, context: PlanContext): InitDecisions {
  const { containers, initContainers = [], restartPolicy = 'Always' } = pod.spec
  const here = (run: ContainerView | undefined) => run?.sandboxId === sandboxId
  const began = containers.some(({ name }) => here(view.containers.get(name)?.[0]))
  const over = isOver(pod, view)
  const decisions = new Map<string, ContainerDecision>()
  let passed = true
  for (const container of initContainers) {
    const newest = view.containers.get(container.name)?.[0]
    const running = newest?.details.status === 'running'
    if (isSidecar(container)) {
      if (over)
        decisions.set(
          container.name,
          running ? { kind: 'stop', view: newest, unwell: false } : { kind: 'done' },
        )
      else if (!passed) decisions.set(container.name, { kind: 'hold' })
      else {
        const decision = decide('Always', newest, sandboxId, context)
        decisions.set(container.name, decision)
        const runs = decision.kind === 'keep' || decision.kind === 'resize'
        passed = began || (runs && newest !== undefined && context.started(newest))
      }
      continue
    }
    if (began || (here(newest) && newest?.details.status === 'exited' && newest.details.exitCode === 0)) {
      decisions.set(container.name, { kind: 'done' })
      continue
    }
    if (!passed) decisions.set(container.name, { kind: 'hold' })
    else {
      // In a new sandbox it does its work once more, however it ended in the one before.
      const before = here(newest) ? newest : undefined
      decisions.set(
        container.name,
        before === undefined && newest !== undefined
          ? { kind: 'start', attempt: newest.attempt + 1 }
          : decide(restartPolicy === 'Always' ? 'OnFailure' : restartPolicy, before, sandboxId, context),
      )
    }
    passed = false
  }
  return { decisions, passed }
}

/** Ephemeral containers are started once, whatever else the pod does, and never again. */
function decideEphemeral(
  { name, targetContainerName: target = '' }: EphemeralContainer,
  view: PodView,
  sandboxId: string,
  over: boolean,
): ContainerDecision {
  const run = view.containers.get(name)?.[0]
  if (run !== undefined) {
    const { status, error, id, pid } = run.details
    if (over && pid !== 0) return { kind: 'stop', view: run, unwell: false }
    if (run.sandboxId === sandboxId && status === 'created' && error === '') return { kind: 'start-made', id }
    return status === 'running' || status === 'paused' ? { kind: 'keep' } : { kind: 'done' }
  }
  if (over) return { kind: 'done' }
  if (target === '') return { kind: 'start', attempt: 0 }
  const processes = view.containers.get(target)?.[0]?.details
  return processes?.status === 'running'
    ? { kind: 'start', attempt: 0, processesOf: processes.id }
    : { kind: 'blocked', message: `the container ${target}, whose processes it is to see, does not run` }
}

/** The order in which sidecars end: the last one first, when none after it runs any more. */
function inTurn(pod: Pod, decisions: Map<string, ContainerDecision>): void {
  let waiting = false
  for (const { name } of (pod.spec.initContainers ?? []).toReversed()) {
    const decision = decisions.get(name)
    if (decision?.kind !== 'stop' || decision.unwell) continue
    if (waiting) decisions.set(name, { kind: 'keep' })
    waiting = true
  }
}

/** Plans one step towards a running pod. */
export function planPod(pod: Pod, view: PodView, context: PlanContext): PodPlan {
  const policy = pod.spec.restartPolicy ?? 'Always'
  const newest = view.sandboxes[0]
  const usable =
    newest?.details.status === 'running' && context.attached(newest.details.id) ? newest : undefined
  const own = pod.spec.containers.map(({ name }) => name)
  const ephemeral = pod.spec.ephemeralContainers ?? []
  const names = new Set([
    ...own,
    ...(pod.spec.initContainers ?? []).map(({ name }) => name),
    ...ephemeral.map(({ name }) => name),
  ])
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
    // A pod whose containers all ended for good needs no network any more.
    if (isOver(pod, view) && newest !== undefined) {
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
  const init = decideInit(pod, view, usable.details.id, context)
  for (const [name, decision] of init.decisions) decisions.set(name, decision)
  for (const name of own) {
    decisions.set(
      name,
      init.passed
        ? decide(policy, view.containers.get(name)?.[0], usable.details.id, context)
        : { kind: 'hold' },
    )
  }
  inTurn(pod, decisions)
  const over = ephemeral.length > 0 && isOver(pod, view)
  for (const each of ephemeral) {
    decisions.set(each.name, decideEphemeral(each, view, usable.details.id, over))
  }
  return { kill, remove, sandbox: { kind: 'keep', view: usable }, containers: decisions }
}
