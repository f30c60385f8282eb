/** Cron jobs: jobs that are made when a schedule says so. */
import { isDeepStrictEqual } from 'node:util'
import type { ReconcileResult } from '../../../kit/index.ts'
import {
  CRON_JOBS,
  type CronJob,
  type Draft,
  type EventRecorder,
  type Frozen,
  formatTime,
  JOBS,
  type Job,
  type ObjectName,
  type ObjectReference,
  StatusError,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { type CronJobPlan, planCronJob } from './cron-job-plan.ts'
import { nameOf, ObjectLoop } from './object-loop.ts'
import { controllerOf } from './owned-pods.ts'
import { ownerReferenceTo } from './owner-reference.ts'
import { writeStatus } from './write-status.ts'

const CRON_JOB = { apiVersion: 'batch/v1', kind: 'CronJob' }
const SCHEDULED_ANNOTATION = 'batch.kubernetes.io/cronjob-scheduled-timestamp'
const MINUTE = 60_000
/** Longest time between two looks: clocks are moved, and timers of weeks overflow. */
const LONGEST_WAIT = 3_600_000

export interface CronJobControllerOptions extends ControllerOptions {
  readonly events: EventRecorder
}

export class CronJobController implements Controller {
  readonly #options: CronJobControllerOptions
  readonly #loop: ObjectLoop
  /** Jobs by the uid of their cron job, then by name. */
  readonly #jobs = new Map<string, Map<string, Frozen<Job>>>()

  constructor(options: CronJobControllerOptions) {
    this.#options = options
    this.#loop = new ObjectLoop('cron jobs', options, target => this.#reconcile(target))
  }

  async start(): Promise<void> {
    await this.#loop.observe(JOBS, {
      seen: job => {
        this.#put(job)
        this.#kickOwner(job)
      },
      removed: job => {
        const owner = ownerOf(job)?.uid ?? ''
        this.#jobs.get(owner)?.delete(job.metadata.name)
        if (this.#jobs.get(owner)?.size === 0) this.#jobs.delete(owner)
        this.#kickOwner(job)
      },
    })
    await this.#loop.observe(CRON_JOBS, {
      seen: cronJob => this.#loop.kick(nameOf(cronJob)),
      removed: ({ metadata }) => this.#jobs.delete(metadata.uid ?? ''),
    })
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  #put(job: Frozen<Job>): void {
    const owner = ownerOf(job)?.uid
    if (owner === undefined) return
    this.#jobs.set(owner, (this.#jobs.get(owner) ?? new Map()).set(job.metadata.name, job))
  }

  #kickOwner(job: Frozen<Job>): void {
    const owner = ownerOf(job)
    if (owner !== undefined) this.#loop.kick({ namespace: job.metadata.namespace ?? '', name: owner.name })
  }

  async #reconcile(target: ObjectName): Promise<ReconcileResult> {
    const { client, clock, events } = this.#options
    const cronJob = await client.get(CRON_JOBS, target)
    if (cronJob === undefined || cronJob.metadata.deletionTimestamp !== undefined) return undefined
    const now = clock.now()
    const jobs = () => [...(this.#jobs.get(cronJob.metadata.uid ?? '')?.values() ?? [])]
    const plan = planCronJob(cronJob, jobs(), now)
    if (plan.warning !== undefined) events.record(cronJob, { type: 'Warning', ...plan.warning })
    for (const job of plan.remove) await this.#remove(cronJob, job)
    const made = plan.start === undefined ? undefined : await this.#create(cronJob, plan.start)
    await this.#writeStatus(cronJob, plan, made)
    if (plan.lookAt === undefined) return undefined
    return { requeueAfter: Math.min(LONGEST_WAIT, Math.max(1, plan.lookAt - now)) }
  }

  async #remove(cronJob: Frozen<CronJob>, job: Frozen<Job>): Promise<void> {
    const { client, events } = this.#options
    await unlessAbsent(async () => {
      const { uid = '' } = job.metadata
      await client.delete(JOBS, nameOf(job), { preconditions: { uid }, propagationPolicy: 'Background' })
      const message = `Deleted job ${job.metadata.name}`
      events.record(cronJob, { type: 'Normal', reason: 'SuccessfulDelete', message })
    })
  }

  /** @returns the job; the one that was made before, when this look was interrupted then */
  async #create(cronJob: Frozen<CronJob>, due: number): Promise<Frozen<Job> | undefined> {
    const { client, events } = this.#options
    const draft = jobDraft(cronJob, due)
    try {
      const job = await client.create(JOBS, draft)
      // The next look must know it, even before it is observed.
      this.#put(job)
      const message = `Created job ${job.metadata.name}`
      events.record(cronJob, { type: 'Normal', reason: 'SuccessfulCreate', message })
      return job
    } catch (error) {
      if (!(error instanceof StatusError)) throw error
      if (error.reason === 'AlreadyExists') {
        const { namespace = '' } = cronJob.metadata
        const present = await client.get(JOBS, { namespace, name: draft.metadata.name ?? '' })
        return present && ownerOf(present)?.uid === cronJob.metadata.uid ? present : undefined
      }
      const message = `Error creating job: ${error.message}`.slice(0, 1000)
      events.record(cronJob, { type: 'Warning', reason: 'FailedCreate', message })
      throw error
    }
  }

  async #writeStatus(
    cronJob: Frozen<CronJob>,
    { active, start, lastSuccessful }: CronJobPlan,
    made: Frozen<Job> | undefined,
  ): Promise<void> {
    const { active: _, lastScheduleTime, lastSuccessfulTime } = cronJob.status ?? {}
    const running =
      made === undefined || active.some(({ metadata }) => metadata.uid === made.metadata.uid)
        ? active
        : [...active, made]
    const scheduled = start === undefined ? lastScheduleTime : formatTime(start)
    const successful = lastSuccessful === undefined ? lastSuccessfulTime : formatTime(lastSuccessful)
    const status: NonNullable<CronJob['status']> = {
      ...(running.length === 0 ? {} : { active: running.map(referenceTo) }),
      ...(scheduled === undefined ? {} : { lastScheduleTime: scheduled }),
      ...(successful === undefined ? {} : { lastSuccessfulTime: successful }),
    }
    if (isDeepStrictEqual(status, cronJob.status ?? {})) return
    await unlessAbsent(() => writeStatus(this.#options.client, CRON_JOBS, cronJob, status))
  }
}

function ownerOf({ metadata }: Frozen<Job>) {
  const owner = controllerOf(metadata.ownerReferences)
  return owner?.kind === CRON_JOB.kind ? owner : undefined
}

/** Without the version, which changes all the time: nobody wants a write of the one for every write of the other. */
function referenceTo({ metadata }: Frozen<Job>): ObjectReference {
  const { name, namespace, uid } = metadata
  return {
    kind: 'Job',
    apiVersion: 'batch/v1',
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
  }
}

function jobDraft(cronJob: Frozen<CronJob>, due: number): Draft<Job> {
  const { metadata, spec } = structuredClone(cronJob.spec.jobTemplate as CronJob['spec']['jobTemplate'])
  const { name, namespace } = cronJob.metadata
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      // The same time is never started twice: its name is taken.
      name: `${name}-${Math.floor(due / MINUTE)}`,
      ...(namespace === undefined ? {} : { namespace }),
      ...(metadata?.labels === undefined ? {} : { labels: metadata.labels }),
      annotations: { ...metadata?.annotations, [SCHEDULED_ANNOTATION]: formatTime(due) },
      ownerReferences: [ownerReferenceTo(cronJob, CRON_JOB)],
    },
    spec,
    status: {},
  }
}
