/** A pod's status as its node reports it. Pure. */
import type {
  Condition,
  ContainerRunState,
  ContainerStatus,
  ContainerTermination,
  Pod,
  PodStatus,
} from '../../protocol/kubernetes/index.ts'
import type { ContainerDetails } from '../docker/index.ts'
import type { ContainerView, PodView } from './pod-view.ts'
import { shouldRestart } from './restart-policy.ts'

/** Why a container is not running although it should. */
export interface WaitingReason {
  readonly reason: string
  readonly message?: string
}

export interface StatusContext {
  readonly hostIp: string
  readonly podIp: string | undefined
  /** Per container of the pod. */
  readonly waiting: ReadonlyMap<string, WaitingReason>
  /** ISO 8601; when the agent first saw the pod. */
  readonly startTime: string
  /** ISO 8601. */
  readonly now: string
}

function seconds(time: string | undefined): string | undefined {
  // Kubernetes' times have no fractions.
  return time === undefined ? undefined : `${time.slice(0, 19)}Z`
}

function termination(details: ContainerDetails): ContainerTermination {
  const { exitCode, oomKilled, error, startedAt, finishedAt, id } = details
  const started = seconds(startedAt)
  const finished = seconds(finishedAt)
  return {
    exitCode,
    reason: oomKilled
      ? 'OOMKilled'
      : error !== ''
        ? 'ContainerCannotRun'
        : exitCode === 0
          ? 'Completed'
          : 'Error',
    ...(error === '' ? {} : { message: error }),
    ...(started === undefined ? {} : { startedAt: started }),
    ...(finished === undefined ? {} : { finishedAt: finished }),
    containerID: `docker://${id}`,
  }
}

function runState(newest: ContainerView | undefined, waiting: WaitingReason | undefined): ContainerRunState {
  if (newest !== undefined && ['running', 'paused'].includes(newest.details.status)) {
    return { running: { startedAt: seconds(newest.details.startedAt) ?? '' } }
  }
  if (waiting !== undefined) return { waiting: { ...waiting } }
  if (newest?.details.status === 'exited') return { terminated: termination(newest.details) }
  return { waiting: { reason: 'ContainerCreating' } }
}

function containerStatus(
  specification: Pod['spec']['containers'][number],
  runs: readonly ContainerView[],
  waiting: WaitingReason | undefined,
): ContainerStatus {
  const [newest, before] = runs
  const state = runState(newest, waiting)
  // While it waits to be started again, its last run is the newest one.
  const last = 'waiting' in state && newest?.details.status === 'exited' ? newest : before
  const running = 'running' in state
  return {
    name: specification.name,
    state,
    lastState: last?.details.status === 'exited' ? { terminated: termination(last.details) } : {},
    ready: running,
    started: running,
    restartCount: newest?.attempt ?? 0,
    image: specification.image,
    imageID: newest === undefined ? '' : `docker://${newest.details.imageId}`,
    ...(newest === undefined ? {} : { containerID: `docker://${newest.details.id}` }),
  }
}

/** The phase that follows from the containers (Kubernetes documentation, "Pod Lifecycle"). */
function phaseOf(pod: Pod, statuses: readonly ContainerStatus[]): NonNullable<PodStatus['phase']> {
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
): Condition {
  const status = holds ? 'True' : 'False'
  const present = before.find(candidate => candidate.type === type)
  return {
    type,
    status,
    lastTransitionTime: present?.status === status ? (present.lastTransitionTime ?? now) : now,
    ...(holds || reason === undefined ? {} : { reason }),
  }
}

/** The status of a pod, with the conditions that its node owns. */
export function podStatus(pod: Pod, view: PodView, context: StatusContext): PodStatus {
  const containerStatuses = pod.spec.containers.map(specification =>
    containerStatus(
      specification,
      view.containers.get(specification.name) ?? [],
      context.waiting.get(specification.name),
    ),
  )
  const phase = phaseOf(pod, containerStatuses)
  const before = pod.status?.conditions ?? []
  const ready = containerStatuses.every(status => status.ready)
  const over = phase === 'Succeeded' ? 'PodCompleted' : 'ContainersNotReady'
  const { podIp, hostIp, now } = context
  return {
    phase,
    hostIP: hostIp,
    hostIPs: [{ ip: hostIp }],
    startTime: context.startTime,
    containerStatuses,
    ...(podIp === undefined ? {} : { podIP: podIp, podIPs: [{ ip: podIp }] }),
    conditions: [
      condition('PodReadyToStartContainers', podIp !== undefined, before, now),
      condition('Initialized', true, before, now),
      condition('Ready', ready, before, now, over),
      condition('ContainersReady', ready, before, now, over),
    ],
  }
}
