/** A pod's status as its node reports it. Pure. */
import type {
  Condition,
  Container,
  ContainerRunState,
  ContainerStatus,
  ContainerTermination,
  Pod,
  PodStatus,
} from '../../protocol/kubernetes/index.ts'
import type { ContainerDetails } from '../docker/index.ts'
import type { Resources } from './container-resources.ts'
import type { PodFailure } from './pod-failures.ts'
import { initFailed } from './pod-plan.ts'
import type { ResizeState } from './pod-resizes.ts'
import type { ContainerView, PodView } from './pod-view.ts'
import { qosClassOf } from './quality-of-service.ts'
import { shouldRestart } from './restart-policy.ts'

/** Why a container is not running although it should. */
export interface WaitingReason {
  readonly reason: string
  readonly message?: string
}

export interface StatusContext {
  readonly hostIp: string
  /** IPv4 first; empty while it has none. */
  readonly podIps: readonly string[]
  /** All init containers have done their work. */
  readonly initialized: boolean
  /** Per container of the pod. */
  readonly waiting: ReadonlyMap<string, WaitingReason>
  /** Whether a running container has got through its start, and whether it does its work now. */
  readonly started: (view: ContainerView) => boolean
  readonly ready: (view: ContainerView) => boolean
  /** What a container that ended has said why. */
  readonly message: (dockerId: string) => string | undefined
  /** ISO 8601; when the agent first saw the pod. */
  readonly startTime: string
  /** What a run has been given. */
  readonly resources: (container: Container, view: ContainerView) => Resources
  /** What has not been done of what the pod asks for now. */
  readonly resize: ResizeState | undefined
  /** Why the pod was given up. */
  readonly failure: PodFailure | undefined
  /** ISO 8601. */
  readonly now: string
}

function seconds(time: string | undefined): string | undefined {
  // Kubernetes' times have no fractions.
  return time === undefined ? undefined : `${time.slice(0, 19)}Z`
}

function termination(details: ContainerDetails, { message }: StatusContext): ContainerTermination {
  const { exitCode, oomKilled, error, startedAt, finishedAt, id } = details
  const started = seconds(startedAt)
  const finished = seconds(finishedAt)
  const said = message(id) || error
  return {
    exitCode,
    reason: oomKilled
      ? 'OOMKilled'
      : error !== ''
        ? 'ContainerCannotRun'
        : exitCode === 0
          ? 'Completed'
          : 'Error',
    ...(said === '' ? {} : { message: said }),
    ...(started === undefined ? {} : { startedAt: started }),
    ...(finished === undefined ? {} : { finishedAt: finished }),
    containerID: `docker://${id}`,
  }
}

function runState(
  newest: ContainerView | undefined,
  waiting: WaitingReason | undefined,
  context: StatusContext,
): ContainerRunState {
  if (newest !== undefined && ['running', 'paused'].includes(newest.details.status)) {
    return { running: { startedAt: seconds(newest.details.startedAt) ?? '' } }
  }
  if (waiting !== undefined) return { waiting: { ...waiting } }
  if (newest?.details.status === 'exited') return { terminated: termination(newest.details, context) }
  return { waiting: { reason: context.initialized ? 'ContainerCreating' : 'PodInitializing' } }
}

function containerStatus(
  specification: Pod['spec']['containers'][number],
  runs: readonly ContainerView[],
  waiting: WaitingReason | undefined,
  context: StatusContext,
): ContainerStatus {
  const [newest, before] = runs
  const state = runState(newest, waiting, context)
  // While it waits to be started again, its last run is the newest one.
  const last = 'waiting' in state && newest?.details.status === 'exited' ? newest : before
  const started = 'running' in state && newest !== undefined && context.started(newest)
  return {
    name: specification.name,
    state,
    lastState: last?.details.status === 'exited' ? { terminated: termination(last.details, context) } : {},
    ready: started && newest !== undefined && context.ready(newest),
    started,
    restartCount: newest?.attempt ?? 0,
    image: specification.image,
    imageID: newest === undefined ? '' : `docker://${newest.details.imageId}`,
    ...givenResources(specification, newest, context),
    ...(newest === undefined ? {} : { containerID: `docker://${newest.details.id}` }),
  }
}

function givenResources(
  specification: Container,
  run: ContainerView | undefined,
  { resources }: StatusContext,
): Pick<ContainerStatus, 'resources' | 'allocatedResources'> {
  if (run === undefined) return {}
  const given = resources(specification, run)
  return {
    resources: given,
    ...(given.requests === undefined ? {} : { allocatedResources: given.requests }),
  }
}

/** The phase that follows from the containers (Kubernetes documentation, "Pod Lifecycle"). */
function phaseOf(
  pod: Pod,
  statuses: readonly ContainerStatus[],
  failed: boolean,
): NonNullable<PodStatus['phase']> {
  if (failed) return 'Failed'
  const policy = pod.spec.restartPolicy ?? 'Always'
  const neverRan = statuses.some(({ state, lastState }) => 'waiting' in state && !('terminated' in lastState))
  if (neverRan) return 'Pending'
  const ended = statuses.flatMap(({ state }) => ('terminated' in state ? [state.terminated] : []))
  if (ended.length < statuses.length) return 'Running'
  if (ended.some(({ exitCode }) => shouldRestart(policy, exitCode))) return 'Running'
  return ended.every(({ exitCode }) => exitCode === 0) ? 'Succeeded' : 'Failed'
}

/** Keeps the time of the last transition while the status stays the same. */
function condition(
  type: string,
  holds: boolean,
  before: readonly Condition[],
  now: string,
  reason?: string,
  message = '',
): Condition {
  const status = holds ? 'True' : 'False'
  const present = before.find(candidate => candidate.type === type)
  return {
    type,
    status,
    lastTransitionTime: present?.status === status ? (present.lastTransitionTime ?? now) : now,
    ...(holds || reason === undefined ? {} : { reason }),
    ...(holds || message === '' ? {} : { message }),
  }
}

/** Which containers a condition waits for, in the words of a kubelet. */
function waitingFor(what: string, statuses: readonly ContainerStatus[]): string {
  const names = statuses.filter(({ ready }) => !ready).map(({ name }) => name)
  return names.length === 0 ? '' : `containers with ${what} status: [${names.join(' ')}]`
}

function resizing(
  { condition: type, reason, message }: ResizeState,
  before: readonly Condition[],
  now: string,
): Condition {
  return {
    ...condition(type, true, before, now),
    ...(reason === '' ? {} : { reason }),
    ...(message === '' ? {} : { message }),
  }
}

/** What says that the pod did not end by itself. */
function disruption({ message }: PodFailure, before: readonly Condition[], now: string): Condition {
  return {
    ...condition('DisruptionTarget', true, before, now),
    ...{ reason: 'TerminationByKubelet', message },
  }
}

/** The status of a pod, with the conditions that its node owns. */
export function podStatus(pod: Pod, view: PodView, context: StatusContext): PodStatus {
  const statusOf = (specification: Container) =>
    containerStatus(
      specification,
      view.containers.get(specification.name) ?? [],
      context.waiting.get(specification.name),
      context,
    )
  const containerStatuses = pod.spec.containers.map(statusOf)
  const initContainerStatuses = (pod.spec.initContainers ?? []).map(specification => {
    const status = statusOf(specification)
    // It is done when it has succeeded; a sidecar is when it does its work.
    const succeeded = 'terminated' in status.state && status.state.terminated.exitCode === 0
    return specification.restartPolicy === 'Always' ? status : { ...status, ready: succeeded }
  })
  // Nobody's readiness depends on them.
  const ephemeralContainerStatuses = (pod.spec.ephemeralContainers ?? []).map(specification => ({
    ...statusOf(specification),
    ready: false,
    started: false,
  }))
  const { failure } = context
  const phase = failure === undefined ? phaseOf(pod, containerStatuses, initFailed(pod, view)) : 'Failed'
  const before = pod.status?.conditions ?? []
  const sidecars = initContainerStatuses.filter(
    (_, index) => pod.spec.initContainers?.[index]?.restartPolicy === 'Always',
  )
  const over =
    phase === 'Succeeded' ? 'PodCompleted' : phase === 'Failed' ? 'PodFailed' : 'ContainersNotReady'
  const serving = [...containerStatuses, ...sidecars]
  const containersReady = serving.every(status => status.ready)
  // What has ended is not waited for.
  const unready = over === 'PodCompleted' || over === 'PodFailed' ? '' : waitingFor('unready', serving)
  const gates = (pod.spec.readinessGates ?? []).filter(
    ({ conditionType }) => before.find(({ type }) => type === conditionType)?.status !== 'True',
  )
  const { podIps, hostIp, now } = context
  const [podIp] = podIps
  return {
    phase,
    ...failure,
    hostIP: hostIp,
    hostIPs: [{ ip: hostIp }],
    startTime: context.startTime,
    qosClass: qosClassOf(pod),
    containerStatuses,
    ...(initContainerStatuses.length === 0 ? {} : { initContainerStatuses }),
    ...(ephemeralContainerStatuses.length === 0 ? {} : { ephemeralContainerStatuses }),
    ...(podIp === undefined ? {} : { podIP: podIp, podIPs: podIps.map(ip => ({ ip })) }),
    conditions: [
      condition('PodReadyToStartContainers', podIp !== undefined, before, now),
      condition(
        'Initialized',
        context.initialized,
        before,
        now,
        'ContainersNotInitialized',
        waitingFor('incomplete', initContainerStatuses),
      ),
      condition(
        'Ready',
        containersReady && gates.length === 0,
        before,
        now,
        containersReady ? 'ReadinessGatesNotReady' : over,
        unready,
      ),
      condition('ContainersReady', containersReady, before, now, over, unready),
      ...(context.resize === undefined ? [] : [resizing(context.resize, before, now)]),
      ...(failure?.reason === 'Evicted' ? [disruption(failure, before, now)] : []),
    ],
  }
}

/** Whether the pod's own containers have their turn: as far as init containers go, nothing is to be waited for. */
export function isInitialized(pod: Pod, view: PodView, started: StatusContext['started']): boolean {
  const began = pod.spec.containers.some(({ name }) => view.containers.has(name))
  return (
    began ||
    (pod.spec.initContainers ?? []).every(({ name, restartPolicy }) => {
      const newest = view.containers.get(name)?.[0]
      if (newest === undefined) return false
      const { status, exitCode } = newest.details
      return restartPolicy === 'Always'
        ? status === 'running' && started(newest)
        : status === 'exited' && exitCode === 0
    })
  )
}
