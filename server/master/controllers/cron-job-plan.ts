/** Which jobs a cron job starts and removes (Kubernetes "CronJob"). Pure; times are milliseconds since 1970. */
import { type CronJob, type Frozen, type Job, parseCronSchedule } from '../apiserver/index.ts'
import { lastTime, nextTime } from './cron-times.ts'

export interface CronJobPlan {
  /** When the job that is to be made was due. */
  readonly start: number | undefined
  /** Jobs to be removed: old ones, and those that a new one replaces. */
  readonly remove: readonly Frozen<Job>[]
  /** Jobs that run. */
  readonly active: readonly Frozen<Job>[]
  readonly lastSuccessful: number | undefined
  /** What people should know of. */
  readonly warning: { readonly reason: string; readonly message: string } | undefined
  /** When it is due next. */
  readonly lookAt: number | undefined
}

type Ending = 'Complete' | 'Failed'

export function endingOf({ status }: Frozen<Job>): Ending | undefined {
  const condition = status?.conditions?.find(
    ({ type, status: is }) => is === 'True' && (type === 'Complete' || type === 'Failed'),
  )
  return condition?.type as Ending | undefined
}

function startOf({ status, metadata }: Frozen<Job>): number {
  return Date.parse(status?.startTime ?? metadata.creationTimestamp ?? '')
}

/** Finished jobs beyond the limit of their kind, the oldest first. */
function surplus(jobs: readonly Frozen<Job>[], ending: Ending, limit: number): readonly Frozen<Job>[] {
  const ended = jobs.filter(job => endingOf(job) === ending).toSorted((a, b) => startOf(a) - startOf(b))
  return ended.slice(0, Math.max(0, ended.length - limit))
}

/** @param jobs those of this cron job */
export function planCronJob(
  { spec, status, metadata }: Frozen<CronJob>,
  jobs: readonly Frozen<Job>[],
  now: number,
): CronJobPlan {
  const { successfulJobsHistoryLimit = 3, failedJobsHistoryLimit = 1 } = spec
  const active = jobs.filter(
    job => endingOf(job) === undefined && job.metadata.deletionTimestamp === undefined,
  )
  const old = [
    ...surplus(jobs, 'Complete', successfulJobsHistoryLimit),
    ...surplus(jobs, 'Failed', failedJobsHistoryLimit),
  ]
  const completions = jobs
    .filter(job => endingOf(job) === 'Complete')
    .map(job => Date.parse(job.status?.completionTime ?? ''))
  const base = {
    active,
    lastSuccessful: completions.length === 0 ? undefined : Math.max(...completions),
    warning: undefined,
  }
  if (spec.suspend === true) return { ...base, start: undefined, remove: old, lookAt: undefined }
  const schedule = parseCronSchedule(spec.schedule)
  // Kubernetes' own servers run in UTC.
  const zone = spec.timeZone ?? 'UTC'
  const created = Date.parse(metadata.creationTimestamp ?? '')
  const last = status?.lastScheduleTime === undefined ? created : Date.parse(status.lastScheduleTime)
  const deadline = spec.startingDeadlineSeconds
  const from = deadline === undefined ? last : Math.max(last, now - deadline * 1000)
  const lookAt = nextTime(schedule, now, zone)
  const due = lastTime(schedule, from, now, zone)
  if (due === undefined) return { ...base, start: undefined, remove: old, lookAt }
  const many = due.many
    ? {
        reason: 'TooManyMissedTimes',
        message: 'too many missed start times; set or decrease startingDeadlineSeconds, or look at the clock',
      }
    : undefined
  if (active.length > 0 && spec.concurrencyPolicy === 'Forbid') {
    const warning = {
      reason: 'JobAlreadyActive',
      message: 'Not starting job because prior execution is running and concurrency policy is Forbid',
    }
    return { ...base, start: undefined, remove: old, warning, lookAt }
  }
  const replaced = spec.concurrencyPolicy === 'Replace' ? active : []
  return {
    ...base,
    active: replaced.length > 0 ? [] : active,
    start: due.at,
    remove: [...old, ...replaced],
    warning: many,
    lookAt,
  }
}
