/** What becomes of a job and its pods (Kubernetes "Jobs"). Pure; times are milliseconds since 1970. */
import type { Frozen, Job } from '../apiserver/index.ts'
import { parseIndexes } from './job-indexes.ts'
import { failureVerdict, successReason } from './job-policies.ts'
import { isActive, type OwnedPod } from './owned-pods.ts'

/** Holds an ended pod until it is in the counts of its job. */
export const TRACKING_FINALIZER = 'batch.kubernetes.io/job-tracking'

/** Pause before a failed pod is followed by another: doubled each time, up to the longest. */
const FIRST_PAUSE = 10_000
const LONGEST_PAUSE = 360_000
/** Pods made or removed in one step. */
const BURST = 500

export interface Counts {
  readonly succeeded: number
  readonly failed: number
  readonly indexes: ReadonlySet<number>
  /** Tasks that failed too often; empty for jobs that do not count by task. */
  readonly failedIndexes: ReadonlySet<number>
  /** Uids that these counts contain and whose pods still hold the finalizer. */
  readonly uncounted: { readonly succeeded: readonly string[]; readonly failed: readonly string[] }
  /** Uids of failed pods that count for nothing and still hold the finalizer. */
  readonly ignored: readonly string[]
  /** Why a failure ends the job; undefined when none does. */
  readonly fatal: string | undefined
}

export interface Ending {
  readonly type: 'Complete' | 'Failed'
  readonly reason: string
  readonly message: string
}

/** What a pod that is to be made shall do. */
export interface Task {
  /** Undefined for jobs whose pods have no numbers. */
  readonly index: number | undefined
  /** How often it failed before; undefined for jobs that do not count by task. */
  readonly failures: number | undefined
}

/**
 * When a pod was seen to fail last, in milliseconds since 1970; undefined when none has.
 *
 * @param index of the task; undefined for any pod of the job
 */
export type LastFailure = (index: number | undefined) => number | undefined

export interface JobPlan {
  readonly create: readonly Task[]
  readonly remove: readonly OwnedPod[]
  readonly ending: Ending | undefined
  /** When to look again without any event; undefined for never. */
  readonly lookAt: number | undefined
}

function holds(pod: OwnedPod): boolean {
  return pod.finalizers.includes(TRACKING_FINALIZER)
}

function hasFailed({ phase, ended }: OwnedPod): boolean {
  return phase === 'Failed' || (ended && phase !== 'Succeeded')
}

/** Takes what has ended into the counts; a pod counts once, however often this is asked. */
export function countPods(job: Frozen<Job>, pods: readonly OwnedPod[]): Counts {
  const { spec, status } = job
  const before = status?.uncountedTerminatedPods ?? {}
  const held = new Set(pods.filter(holds).map(({ uid }) => uid))
  const known = new Set([...(before.succeeded ?? []), ...(before.failed ?? [])])
  const fresh = pods.filter(pod => holds(pod) && !known.has(pod.uid))
  const succeeded = fresh.filter(({ phase }) => phase === 'Succeeded')
  const verdicts = fresh.filter(hasFailed).map(pod => ({ pod, ...failureVerdict(job, pod) }))
  const failed = verdicts.filter(({ action }) => action !== 'Ignore')
  const indexes = parseIndexes(status?.completedIndexes)
  // A task that is done twice is done once.
  const done = succeeded.filter(({ index }) => {
    if (index === undefined) return true
    if (indexes.has(index)) return false
    indexes.add(index)
    return true
  })
  const failedIndexes = parseIndexes(status?.failedIndexes)
  const { backoffLimitPerIndex: limit } = spec
  for (const { pod, action } of failed) {
    if (limit === undefined || pod.index === undefined) continue
    if (action === 'FailIndex' || pod.earlierFailures >= limit) failedIndexes.add(pod.index)
  }
  const still = (uids: readonly string[] | undefined) => (uids ?? []).filter(uid => held.has(uid))
  return {
    succeeded: (status?.succeeded ?? 0) + done.length,
    failed: (status?.failed ?? 0) + failed.length,
    indexes,
    failedIndexes,
    uncounted: {
      succeeded: [...still(before.succeeded), ...succeeded.map(({ uid }) => uid)],
      failed: [...still(before.failed), ...failed.map(({ pod }) => pod.uid)],
    },
    ignored: verdicts.filter(({ action }) => action === 'Ignore').map(({ pod }) => pod.uid),
    fatal: verdicts.find(({ action }) => action === 'FailJob')?.message,
  }
}

function isDone({ spec }: Frozen<Job>, { succeeded }: Counts, active: number): boolean {
  const { completions } = spec
  if (completions !== undefined) return succeeded >= completions
  // A queue of work is empty when one of its workers says so and the others have ended.
  return succeeded > 0 && active === 0
}

/** Of jobs that count failures by task. */
function endingByTask({ spec }: Frozen<Job>, { indexes, failedIndexes }: Counts): Ending | undefined {
  if (failedIndexes.size === 0) return undefined
  if (spec.maxFailedIndexes !== undefined && failedIndexes.size > spec.maxFailedIndexes) {
    const message = 'Job has exceeded the specified maximal number of failed indexes'
    return { type: 'Failed', reason: 'MaxFailedIndexesExceeded', message }
  }
  return indexes.size + failedIndexes.size >= (spec.completions ?? 0)
    ? { type: 'Failed', reason: 'FailedIndexes', message: 'Job has failed indexes' }
    : undefined
}

function endingOf(
  job: Frozen<Job>,
  counts: Counts,
  active: readonly OwnedPod[],
  now: number,
): Ending | undefined {
  const { spec, status } = job
  if (isDone(job, counts, active.length)) {
    const message = 'Reached expected number of succeeded pods'
    return { type: 'Complete', reason: 'CompletionsReached', message }
  }
  const success = successReason(job, counts.indexes)
  if (success !== undefined) return { type: 'Complete', reason: 'SuccessPolicy', message: success }
  if (counts.fatal !== undefined) return { type: 'Failed', reason: 'PodFailurePolicy', message: counts.fatal }
  const byTask = endingByTask(job, counts)
  if (byTask !== undefined) return byTask
  const restarts =
    spec.template.spec.restartPolicy === 'OnFailure' ? active.reduce((sum, pod) => sum + pod.restarts, 0) : 0
  if (counts.failed + restarts > (spec.backoffLimit ?? 6)) {
    const message = 'Job has reached the specified backoff limit'
    return { type: 'Failed', reason: 'BackoffLimitExceeded', message }
  }
  const started = Date.parse(status?.startTime ?? '')
  if (spec.activeDeadlineSeconds !== undefined && now - started >= spec.activeDeadlineSeconds * 1000) {
    const message = 'Job was active longer than specified deadline'
    return { type: 'Failed', reason: 'DeadlineExceeded', message }
  }
  return undefined
}

/** Tasks that nobody does, that are not done and have not failed for good; and when the next one may be tried again. */
function openTasks(
  job: Frozen<Job>,
  pods: readonly OwnedPod[],
  { indexes, failedIndexes }: Counts,
  most: number,
  now: number,
  lastFailure: LastFailure,
): { readonly tasks: Task[]; readonly next: number | undefined } {
  const { spec } = job
  const counted = spec.backoffLimitPerIndex !== undefined
  const taken = new Set<number | undefined>()
  const failures = new Map<number, number>()
  for (const pod of pods) {
    if (isActive(pod)) taken.add(pod.index)
    else if (counted && pod.index !== undefined && hasFailed(pod)) {
      const more = failureVerdict(job, pod).action === 'Ignore' ? 0 : 1
      failures.set(pod.index, Math.max(failures.get(pod.index) ?? 0, pod.earlierFailures + more))
    }
  }
  const tasks: Task[] = []
  let next: number | undefined
  for (let index = 0; index < (spec.completions ?? 0) && tasks.length < most; index += 1) {
    if (indexes.has(index) || failedIndexes.has(index) || taken.has(index)) continue
    const failed = failures.get(index) ?? 0
    const ready = (lastFailure(index) ?? 0) + pauseAfter(failed)
    if (ready <= now) tasks.push({ index, failures: counted ? failed : undefined })
    else next = Math.min(next ?? ready, ready)
  }
  return { tasks, next }
}

/** Milliseconds until a pod follows one that failed. */
function pauseAfter(failures: number): number {
  return failures === 0 ? 0 : Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failures - 1))
}

function wantedPods({ spec }: Frozen<Job>, { succeeded, failedIndexes }: Counts, active: number): number {
  const { parallelism = 1, completions } = spec
  if (completions !== undefined) return Math.min(parallelism, completions - succeeded - failedIndexes.size)
  return succeeded > 0 ? active : parallelism
}

/** What is to be made, and when there is more. */
function planPods(
  job: Frozen<Job>,
  pods: readonly OwnedPod[],
  counts: Counts,
  missing: number,
  now: number,
  lastFailure: LastFailure,
): { readonly create: readonly Task[]; readonly next: number | undefined } {
  const { completionMode, backoffLimitPerIndex } = job.spec
  if (missing === 0) return { create: [], next: undefined }
  if (backoffLimitPerIndex === undefined) {
    // Whatever failed, all of the job pauses.
    const ready = (lastFailure(undefined) ?? 0) + pauseAfter(counts.failed)
    if (ready > now) return { create: [], next: ready }
  }
  if (completionMode !== 'Indexed') {
    return {
      create: Array.from({ length: missing }, () => ({ index: undefined, failures: undefined })),
      next: undefined,
    }
  }
  const { tasks, next } = openTasks(job, pods, counts, missing, now, lastFailure)
  return { create: tasks, next }
}

export function planJob(
  job: Frozen<Job>,
  pods: readonly OwnedPod[],
  counts: Counts,
  now: number,
  lastFailure: LastFailure,
): JobPlan {
  const { spec, status } = job
  const active = pods.filter(pod => isActive(pod))
  const ending = endingOf(job, counts, active, now)
  if (ending !== undefined) return { create: [], remove: active, ending, lookAt: undefined }
  const deadline =
    spec.activeDeadlineSeconds === undefined
      ? undefined
      : Date.parse(status?.startTime ?? '') + spec.activeDeadlineSeconds * 1000
  if (spec.suspend === true) return { create: [], remove: active, ending: undefined, lookAt: undefined }
  const wanted = wantedPods(job, counts, active.length)
  const missing = Math.min(BURST, Math.max(0, wanted - active.length))
  const { create, next } = planPods(job, pods, counts, missing, now, lastFailure)
  const looks = [deadline, next].filter(time => time !== undefined)
  return {
    create,
    remove: active.toSorted((a, b) => b.created - a.created).slice(0, Math.max(0, active.length - wanted)),
    ending: undefined,
    lookAt: looks.length === 0 ? undefined : Math.min(...looks),
  }
}
