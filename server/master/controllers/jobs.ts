/** Jobs: pods that run until enough of them have succeeded. */
import { isDeepStrictEqual } from 'node:util'
import { ReconcileLoop, type ReconcileResult } from '../../../kit/index.ts'
import {
  type Draft,
  type EventRecorder,
  type Frozen,
  formatTime,
  JOBS,
  type Job,
  PODS,
  type Pod,
  StatusError,
} from '../apiserver/index.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import {
  type Counts,
  countPods,
  type Ending,
  formatIndexes,
  type JobPlan,
  planJob,
  TRACKING_FINALIZER,
} from './job-plan.ts'
import { INDEX_ANNOTATION, isActive, type OwnedPod, OwnedPods } from './owned-pods.ts'
import { writeStatus } from './write-status.ts'

/** Longest part of a job's name in the names of its pods. */
const LONGEST_BASE = 57

export interface JobControllerOptions extends ControllerOptions {
  readonly events: EventRecorder
}

function isGone(error: unknown): boolean {
  return error instanceof StatusError && error.reason === 'NotFound'
}

function isFinished({ status }: Frozen<Job>): boolean {
  return (status?.conditions ?? []).some(
    ({ type, status: is }) => is === 'True' && (type === 'Complete' || type === 'Failed'),
  )
}

export class JobController implements Controller {
  readonly #options: JobControllerOptions
  readonly #loop: ReconcileLoop
  readonly #pods = new OwnedPods()
  /** Namespace and name by uid. */
  readonly #names = new Map<string, string>()
  /** When a pod of a job was seen to fail last, by the job's uid. */
  readonly #failures = new Map<string, number>()
  readonly #stopObserving: (() => void)[] = []

  constructor(options: JobControllerOptions) {
    this.#options = options
    this.#loop = new ReconcileLoop({
      name: 'jobs',
      reconcile: key => {
        const [namespace = '', name = ''] = key.split('/')
        return this.#reconcile(namespace, name)
      },
      log: options.log,
      clock: options.clock,
    })
  }

  async start(): Promise<void> {
    const { client } = this.#options
    const pod = (object: Frozen<Pod>, previous?: Frozen<Pod>) => {
      for (const owner of this.#pods.put(object, previous)) this.#kick(owner)
    }
    const job = ({ metadata }: Frozen<Job>) => {
      const key = `${metadata.namespace}/${metadata.name}`
      this.#names.set(metadata.uid ?? '', key)
      this.#loop.kick(key)
    }
    this.#stopObserving.push(
      await client.observe(PODS, {
        sync: pods => {
          for (const object of pods) pod(object)
        },
        changed: pod,
        removed: object => this.#kick(this.#pods.remove(object)),
      }),
      await client.observe(JOBS, {
        sync: jobs => jobs.forEach(job),
        changed: job,
        removed: ({ metadata }) => {
          const uid = metadata.uid ?? ''
          this.#names.delete(uid)
          this.#failures.delete(uid)
          // Nobody counts them any more.
          for (const each of this.#pods.of(uid)) void this.#release(each).catch(() => undefined)
        },
      }),
    )
    this.#loop.start()
  }

  async stop(): Promise<void> {
    for (const stop of this.#stopObserving) stop()
    await this.#loop.stop()
  }

  #kick(owner: string): void {
    const key = this.#names.get(owner)
    if (key !== undefined) this.#loop.kick(key)
  }

  async #reconcile(namespace: string, name: string): Promise<ReconcileResult> {
    const { client, clock } = this.#options
    const job = await client.get(JOBS, { namespace, name })
    if (job === undefined) return undefined
    const uid = job.metadata.uid ?? ''
    if (job.metadata.deletionTimestamp !== undefined || isFinished(job)) {
      for (const pod of this.#pods.of(uid)) await this.#release(pod)
      return await this.#expire(job)
    }
    const now = clock.now()
    const started = await this.#start(job, now)
    const pods = this.#pods.of(uid)
    const counts = countPods(started, pods)
    if (counts.failed > (started.status?.failed ?? 0)) this.#failures.set(uid, now)
    const plan = planJob(started, pods, counts, now, this.#failures.get(uid))
    // The counts first: a pod whose finalizer is gone can no longer be counted.
    await this.#writeCounts(started, counts, plan, now)
    const counted = new Set([...counts.uncounted.succeeded, ...counts.uncounted.failed])
    for (const pod of pods) if (counted.has(pod.uid)) await this.#release(pod)
    await Promise.all(plan.remove.map(pod => this.#remove(pod)))
    await Promise.all(plan.create.map(index => this.#create(started, index)))
    return plan.lookAt === undefined ? undefined : { requeueAfter: Math.max(1, plan.lookAt - now) }
  }

  async #start(job: Frozen<Job>, now: number): Promise<Frozen<Job>> {
    if (job.status?.startTime !== undefined || job.spec.suspend === true) return job
    const status = { ...job.status, startTime: formatTime(now) }
    await writeStatus(this.#options.client, JOBS, job, status)
    return { ...job, status } as Frozen<Job>
  }

  async #writeCounts(job: Frozen<Job>, counts: Counts, plan: JobPlan, now: number): Promise<void> {
    const { client, events } = this.#options
    const active = this.#pods.of(job.metadata.uid ?? '').filter(isActive).length
    // Zero is said by silence: what was counted before must not stay.
    const {
      uncountedTerminatedPods,
      active: _,
      succeeded: __,
      failed: ___,
      conditions = [],
      ...before
    } = job.status ?? {}
    const { succeeded, failed } = counts.uncounted
    const suspended = suspendedCondition(job, now)
    const ending = plan.ending === undefined ? [] : [endingCondition(plan.ending, now)]
    const status = {
      ...before,
      ...positive({
        active: plan.ending === undefined ? active : 0,
        succeeded: counts.succeeded,
        failed: counts.failed,
      }),
      ...(counts.indexes.size === 0 ? {} : { completedIndexes: formatIndexes(counts.indexes) }),
      uncountedTerminatedPods: {
        ...(succeeded.length === 0 ? {} : { succeeded: [...succeeded] }),
        ...(failed.length === 0 ? {} : { failed: [...failed] }),
      },
      ...(plan.ending?.type === 'Complete' ? { completionTime: formatTime(now) } : {}),
      ...(conditions.length + suspended.length + ending.length === 0
        ? {}
        : {
            conditions: [
              ...conditions.filter(({ type }) => type !== 'Suspended' || suspended.length === 0),
              ...suspended,
              ...ending,
            ],
          }),
    }
    const same = { ...job.status, uncountedTerminatedPods: uncountedTerminatedPods ?? {} }
    if (isDeepStrictEqual(status, same)) return
    await writeStatus(client, JOBS, job, status)
    if (plan.ending === undefined) return
    const bad = plan.ending.type === 'Failed'
    events.record(job, {
      type: bad ? 'Warning' : 'Normal',
      reason: bad ? plan.ending.reason : 'Completed',
      message: bad ? plan.ending.message : 'Job completed',
    })
  }

  async #create(job: Frozen<Job>, index: number | undefined): Promise<void> {
    const { client, events } = this.#options
    try {
      const pod = await client.create(PODS, podDraft(job, index))
      // The next look must know it, even before it is observed.
      this.#pods.put(pod, undefined)
      const message = `Created pod: ${pod.metadata.name}`
      events.record(job, { type: 'Normal', reason: 'SuccessfulCreate', message })
    } catch (error) {
      if (error instanceof StatusError) {
        const message = `Error creating: ${error.message}`.slice(0, 1000)
        events.record(job, { type: 'Warning', reason: 'FailedCreate', message })
      }
      throw error
    }
  }

  async #remove(pod: OwnedPod): Promise<void> {
    const { namespace, name, uid } = pod
    try {
      await this.#options.client.delete(PODS, { namespace, name }, { preconditions: { uid } })
    } catch (error) {
      if (!isGone(error)) throw error
    }
    this.#pods.markDeleting(pod)
  }

  /** Lets go of a pod that is counted. */
  async #release({ namespace, name, uid, finalizers }: OwnedPod): Promise<void> {
    if (!finalizers.includes(TRACKING_FINALIZER)) return
    const { client } = this.#options
    try {
      const pod = await client.get(PODS, { namespace, name })
      if (pod === undefined || pod.metadata.uid !== uid) return
      const left = (pod.metadata.finalizers ?? []).filter(each => each !== TRACKING_FINALIZER)
      const { resourceVersion = '' } = pod.metadata
      await client.patch(
        PODS,
        { namespace, name },
        { type: 'merge', body: { metadata: { finalizers: left, resourceVersion } } },
      )
    } catch (error) {
      if (!isGone(error)) throw error
    }
  }

  /** Removes a finished job when its time has come. */
  async #expire(job: Frozen<Job>): Promise<ReconcileResult> {
    const { client, clock } = this.#options
    const { ttlSecondsAfterFinished: ttl } = job.spec
    if (ttl === undefined || job.metadata.deletionTimestamp !== undefined) return undefined
    const finished = job.status?.conditions?.find(({ type }) => type === 'Complete' || type === 'Failed')
    const left = Date.parse(finished?.lastTransitionTime ?? '') + ttl * 1000 - clock.now()
    if (left > 0) return { requeueAfter: left }
    const { namespace = '', name, uid = '' } = job.metadata
    try {
      await client.delete(
        JOBS,
        { namespace, name },
        { preconditions: { uid }, propagationPolicy: 'Foreground' },
      )
    } catch (error) {
      if (!isGone(error)) throw error
    }
    return undefined
  }
}

function positive(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0))
}

function endingCondition({ type, reason, message }: Ending, now: number) {
  const time = formatTime(now)
  return { type, status: 'True' as const, reason, message, lastProbeTime: time, lastTransitionTime: time }
}

function suspendedCondition(job: Frozen<Job>, now: number) {
  const before = job.status?.conditions?.find(({ type }) => type === 'Suspended')
  const suspended = job.spec.suspend === true
  if (before === undefined ? !suspended : (before.status === 'True') === suspended) return []
  const time = formatTime(now)
  return [
    {
      type: 'Suspended',
      status: suspended ? ('True' as const) : ('False' as const),
      reason: suspended ? 'JobSuspended' : 'JobResumed',
      message: suspended ? 'Job suspended' : 'Job resumed',
      lastProbeTime: time,
      lastTransitionTime: time,
    },
  ]
}

function podDraft(job: Frozen<Job>, index: number | undefined): Draft<Pod> {
  const { metadata, spec } = structuredClone(job.spec.template as Job['spec']['template'])
  const { name, namespace, uid = '' } = job.metadata
  const base = name.slice(0, LONGEST_BASE)
  if (index !== undefined) {
    spec.hostname ??= `${name}-${index}`
    for (const container of [...spec.containers, ...(spec.initContainers ?? [])]) {
      container.env = [
        ...(container.env ?? []),
        {
          name: 'JOB_COMPLETION_INDEX',
          valueFrom: { fieldRef: { fieldPath: `metadata.labels['${INDEX_ANNOTATION}']` } },
        },
      ]
    }
  }
  const task = index === undefined ? {} : { [INDEX_ANNOTATION]: String(index) }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      labels: { ...metadata?.labels, ...task },
      annotations: { ...metadata?.annotations, ...task },
      generateName: index === undefined ? `${base}-` : `${base}-${index}-`,
      ...(namespace === undefined ? {} : { namespace }),
      finalizers: [TRACKING_FINALIZER],
      ownerReferences: [
        { apiVersion: 'batch/v1', kind: 'Job', name, uid, controller: true, blockOwnerDeletion: true },
      ],
    },
    spec,
    status: {},
  }
}
