/** What becomes of a job and its pods (Kubernetes "Jobs"). Pure; times are milliseconds since 1970. */
import type { Frozen, Job } from '../apiserver/index.ts'
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
  /** Uids that these counts contain and whose pods still hold the finalizer. */
  readonly uncounted: { readonly succeeded: readonly string[]; readonly failed: readonly string[] }
}

export interface Ending {
  readonly type: 'Complete' | 'Failed'
  readonly reason: string
  readonly message: string
}

export interface JobPlan {
  /** How many to make; for an indexed job, of which tasks. */
  readonly create: readonly (number | undefined)[]
  readonly remove: readonly OwnedPod[]
  readonly ending: Ending | undefined
  /** When to look again without any event; undefined for never. */
  readonly lookAt: number | undefined
}

/** `0-2,5` as numbers. */
export function parseIndexes(text: string | undefined): Set<number> {
  const indexes = new Set<number>()
  for (const part of (text ?? '').split(',').filter(each => each !== '')) {
    const [first = 0, last = first] = part.split('-').map(Number)
    for (let index = first; index <= last; index += 1) indexes.add(index)
  }
  return indexes
}

/** Numbers as `0-2,5`. */
export function formatIndexes(indexes: ReadonlySet<number>): string {
  const parts: string[] = []
  const sorted = [...indexes].toSorted((a, b) => a - b)
  for (let at = 0; at < sorted.length; ) {
    let end = at
    while (sorted[end + 1] === (sorted[end] ?? 0) + 1) end += 1
    parts.push(
      end === at
        ? `${sorted[at]}`
        : end === at + 1
          ? `${sorted[at]},${sorted[end]}`
          : `${sorted[at]}-${sorted[end]}`,
    )
    at = end + 1
  }
  return parts.join(',')
}

function holds(pod: OwnedPod): boolean {
  return pod.finalizers.includes(TRACKING_FINALIZER)
}

/** Takes what has ended into the counts; a pod counts once, however often this is asked. */
export function countPods({ status }: Frozen<Job>, pods: readonly OwnedPod[]): Counts {
  const before = status?.uncountedTerminatedPods ?? {}
  const held = new Set(pods.filter(holds).map(({ uid }) => uid))
  const known = new Set([...(before.succeeded ?? []), ...(before.failed ?? [])])
  const fresh = pods.filter(pod => holds(pod) && !known.has(pod.uid))
  const succeeded = fresh.filter(({ phase }) => phase === 'Succeeded')
  const failed = fresh.filter(({ phase, ended }) => phase === 'Failed' || (ended && phase !== 'Succeeded'))
  const indexes = parseIndexes(status?.completedIndexes)
  // A task that is done twice is done once.
  const done = succeeded.filter(({ index }) => {
    if (index === undefined) return true
    if (indexes.has(index)) return false
    indexes.add(index)
    return true
  })
  const still = (uids: readonly string[] | undefined) => (uids ?? []).filter(uid => held.has(uid))
  return {
    succeeded: (status?.succeeded ?? 0) + done.length,
    failed: (status?.failed ?? 0) + failed.length,
    indexes,
    uncounted: {
      succeeded: [...still(before.succeeded), ...succeeded.map(({ uid }) => uid)],
      failed: [...still(before.failed), ...failed.map(({ uid }) => uid)],
    },
  }
}

function isDone({ spec }: Frozen<Job>, { succeeded }: Counts, active: number): boolean {
  const { completions } = spec
  if (completions !== undefined) return succeeded >= completions
  // A queue of work is empty when one of its workers says so and the others have ended.
  return succeeded > 0 && active === 0
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

/** Tasks that nobody does and that are not done. */
function openTasks(
  { spec }: Frozen<Job>,
  { indexes }: Counts,
  active: readonly OwnedPod[],
  most: number,
): number[] {
  const taken = new Set(active.map(({ index }) => index))
  const open: number[] = []
  for (let index = 0; index < (spec.completions ?? 0) && open.length < most; index += 1) {
    if (!indexes.has(index) && !taken.has(index)) open.push(index)
  }
  return open
}

/**
 * @param lastFailure when a pod was seen to fail last; undefined when none has
 */
export function planJob(
  job: Frozen<Job>,
  pods: readonly OwnedPod[],
  counts: Counts,
  now: number,
  lastFailure: number | undefined,
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
  const parallelism = spec.parallelism ?? 1
  const wanted =
    spec.completions === undefined
      ? counts.succeeded > 0
        ? active.length
        : parallelism
      : Math.min(parallelism, spec.completions - counts.succeeded)
  const missing = Math.min(BURST, Math.max(0, wanted - active.length))
  const pause = counts.failed === 0 ? 0 : Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (counts.failed - 1))
  const ready = (lastFailure ?? 0) + pause
  const waits = missing > 0 && ready > now
  const create = waits
    ? []
    : spec.completionMode === 'Indexed'
      ? openTasks(job, counts, active, missing)
      : Array.from({ length: missing }, () => undefined)
  const looks = [deadline, waits ? ready : undefined].filter(time => time !== undefined)
  return {
    create,
    remove: active.toSorted((a, b) => b.created - a.created).slice(0, Math.max(0, active.length - wanted)),
    ending: undefined,
    lookAt: looks.length === 0 ? undefined : Math.min(...looks),
  }
}
