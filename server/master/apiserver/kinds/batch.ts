/** Jobs and cron jobs. */
import type { Frozen } from '../json.ts'
import type { CronJob, Job, JobSpec } from '../objects.ts'
import { cronJobPrinter, jobPrinter } from '../printing/index.ts'
import { type FieldProblem, invalid, required } from '../problems.ts'
import { changedFields } from './changed-fields.ts'
import { parseCronSchedule } from './cron-schedule.ts'
import { completeTemplate, validateTemplate } from './pod-template.ts'
import { defineStrategy, selectableFields } from './strategy.ts'
import { validateCounts } from './workloads.ts'

const RESTART_POLICIES = ['Never', 'OnFailure']
const DEFAULT_BACKOFF_LIMIT = 6
/** A name of a cron job is followed by a minute (11 characters) in the names of its jobs. */
const LONGEST_CRON_JOB_NAME = 52
const LONGEST_JOB_NAME = 63

const UID_LABEL = 'batch.kubernetes.io/controller-uid'
const NAME_LABEL = 'batch.kubernetes.io/job-name'
/** Names of the same labels before they had a prefix. */
const OLD_UID_LABEL = 'controller-uid'
const OLD_NAME_LABEL = 'job-name'

const COUNTS = [
  'activeDeadlineSeconds',
  'backoffLimit',
  'backoffLimitPerIndex',
  'completions',
  'maxFailedIndexes',
  'parallelism',
  'ttlSecondsAfterFinished',
]

function completeJobSpec(spec: JobSpec): void {
  completeTemplate(spec.template)
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1
  spec.parallelism ??= 1
  spec.backoffLimit ??= spec.backoffLimitPerIndex === undefined ? DEFAULT_BACKOFF_LIMIT : 2 ** 31 - 1
  spec.podReplacementPolicy ??= spec.podFailurePolicy === undefined ? 'TerminatingOrFailed' : 'Failed'
}

function validateJobSpec(spec: JobSpec, field: string): FieldProblem[] {
  const problems = [
    ...validateCounts(spec as unknown as Record<string, unknown>, COUNTS),
    ...validateTemplate(spec.template, 'spec.template', RESTART_POLICIES),
  ]
  if (spec.completionMode === 'Indexed' && spec.completions === undefined) {
    problems.push(required('spec.completions', "when completion mode is 'Indexed'"))
  }
  if (spec.backoffLimitPerIndex !== undefined && spec.completionMode !== 'Indexed') {
    problems.push(
      invalid('spec.backoffLimitPerIndex', spec.backoffLimitPerIndex, 'requires indexed completion mode'),
    )
  }
  if (spec.podFailurePolicy !== undefined && spec.template.spec?.restartPolicy !== 'Never') {
    const { restartPolicy } = spec.template.spec ?? {}
    const why = "only 'Never' is supported when podFailurePolicy is specified"
    problems.push(invalid('spec.template.spec.restartPolicy', restartPolicy ?? null, why))
  }
  if (spec.successPolicy !== undefined && spec.completionMode !== 'Indexed')
    problems.push(invalid('spec.successPolicy', spec.successPolicy, 'requires indexed completion mode'))
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined) {
    problems.push(required('spec.backoffLimitPerIndex', 'when maxFailedIndexes is specified'))
  }
  return problems.map(problem => ({ ...problem, field: problem.field.replace(/^spec/, field) }))
}

/** Pods of a job are told from all others by its uid, which nobody can choose. */
function selectOwnPods({ metadata, spec }: Job): void {
  if (spec.manualSelector === true || spec.selector !== undefined) return
  const { uid = '', name } = metadata
  // One that is generated is not there yet when webhooks look.
  if ((name ?? '') === '') return
  spec.selector = { matchLabels: { [UID_LABEL]: uid } }
  spec.template.metadata = {
    ...spec.template.metadata,
    labels: {
      ...spec.template.metadata?.labels,
      [UID_LABEL]: uid,
      [NAME_LABEL]: name,
      [OLD_UID_LABEL]: uid,
      [OLD_NAME_LABEL]: name,
    },
  }
}

const JOB_IMMUTABLE = new Set([
  'completionMode',
  'managedBy',
  'podFailurePolicy',
  'selector',
  'successPolicy',
])

export const jobStrategy = defineStrategy<Job>({
  printer: jobPrinter,
  countsGenerations: true,
  selectable: selectableFields<Job>({
    'status.successful': ({ status }) => String(status?.succeeded ?? 0),
  }),
  prepareCreate(job) {
    job.status = {}
  },
  complete(job) {
    completeJobSpec(job.spec)
    selectOwnPods(job)
  },
  validate(job) {
    const problems = validateJobSpec(job.spec, 'spec')
    if (job.metadata.name.length > LONGEST_JOB_NAME) {
      problems.push(
        invalid('metadata.name', job.metadata.name, `must be no more than ${LONGEST_JOB_NAME} characters`),
      )
    }
    return problems
  },
  validateUpdate(job, old) {
    const begun = old.spec.suspend !== true || old.status?.startTime !== undefined
    const problems = changedFields(job.spec, old.spec)
      .filter(field => JOB_IMMUTABLE.has(field) || (field === 'template' && begun))
      .map(field => invalid(`spec.${field}`, job.spec[field as keyof JobSpec] ?? null, 'field is immutable'))
    const indexed = old.spec.completionMode === 'Indexed' && job.spec.completions === job.spec.parallelism
    if (!indexed && job.spec.completions !== old.spec.completions) {
      problems.push(invalid('spec.completions', job.spec.completions ?? null, 'field is immutable'))
    }
    return problems
  },
})

export const cronJobStrategy = defineStrategy<CronJob>({
  printer: cronJobPrinter,
  countsGenerations: true,
  prepareCreate(cronJob) {
    cronJob.status = {}
  },
  complete({ spec }) {
    const job = spec.jobTemplate.spec
    // Other fields of the job are completed when it is made.
    completeTemplate(job.template)
  },
  validate(cronJob) {
    const { spec, metadata } = cronJob
    const problems = [
      ...validateCounts(spec as unknown as Record<string, unknown>, [
        'startingDeadlineSeconds',
        'successfulJobsHistoryLimit',
        'failedJobsHistoryLimit',
      ]),
      ...validateJobSpec(spec.jobTemplate.spec, 'spec.jobTemplate.spec'),
      ...validateSchedule(spec),
    ]
    if (metadata.name.length > LONGEST_CRON_JOB_NAME) {
      problems.push(
        invalid('metadata.name', metadata.name, `must be no more than ${LONGEST_CRON_JOB_NAME} characters`),
      )
    }
    return problems
  },
})

function validateSchedule({ schedule, timeZone }: Frozen<CronJob>['spec']): FieldProblem[] {
  const problems: FieldProblem[] = []
  if (schedule === '') problems.push(required('spec.schedule'))
  else {
    try {
      parseCronSchedule(schedule)
    } catch (error) {
      problems.push(
        invalid('spec.schedule', schedule, error instanceof Error ? error.message : String(error)),
      )
    }
  }
  if (timeZone !== undefined && !isTimeZone(timeZone)) {
    problems.push(invalid('spec.timeZone', timeZone, `unknown time zone ${timeZone}`))
  }
  return problems
}

function isTimeZone(name: string): boolean {
  if (name === '' || name.toLowerCase() === 'local') return false
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}
