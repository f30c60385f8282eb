/** Jobs: pods that run until enough of them have succeeded. */
import { isDeepStrictEqual } from 'node:util'
import type { ReconcileResult } from '../../../kit/index.ts'
import {
  type Draft,
  type EventRecorder,
  type Frozen,
  formatTime,
  JOBS,
  type Job,
  type ObjectName,
  PODS,
  type Pod,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import { type Adoption, podAdoption } from './adoption.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { positive } from './counts.ts'
import { formatIndexes } from './job-indexes.ts'
import {
  type Counts,
  countPods,
  type Ending,
  type JobPlan,
  planJob,
  type Task,
  TRACKING_FINALIZER,
} from './job-plan.ts'
import { nameOf, ObjectLoop } from './object-loop.ts'
import {
  controllerOf,
  INDEX_ANNOTATION,
  INDEX_FAILURES_ANNOTATION,
  isActive,
  type OwnedPod,
  OwnedPods,
} from './owned-pods.ts'
import { ownerReferenceTo } from './owner-reference.ts'
import { observePods, PodChanges } from './pod-changes.ts'
import { writeStatus } from './write-status.ts'

const KIND = 'Job'
const JOB = { apiVersion: 'batch/v1', kind: KIND }
/** The key, no job's name, under which pods without a job are let go. */
const STRAYS = ''

/** Longest part of a job's name in the names of its pods. */
const LONGEST_BASE = 57

export interface JobControllerOptions extends ControllerOptions {
  readonly events: EventRecorder
}

function isFinished({ status }: Frozen<Job>): boolean {
  return (status?.conditions ?? []).some(
    ({ type, status: is }) => is === 'True' && (type === 'Complete' || type === 'Failed'),
  )
}

export class JobController implements Controller {
  readonly #options: JobControllerOptions
  readonly #loop: ObjectLoop
  readonly #pods = new OwnedPods(KIND)
  readonly #changes: PodChanges
  readonly #adoption: Adoption<Pod>
  /** Names of pods without a job that still hold the finalizer, by namespace. */
  readonly #strays = new Map<string, Set<string>>()
  /** When a pod of a job was seen to fail last, by the job's uid, then by task; undefined for any. */
  readonly #failures = new Map<string, Map<number | undefined, number>>()

  constructor(options: JobControllerOptions) {
    this.#options = options
    this.#changes = new PodChanges({ ...options, pods: this.#pods })
    this.#loop = new ObjectLoop('jobs', options, target => this.#reconcile(target))
    this.#adoption = podAdoption({
      ...{ client: options.client, pods: this.#pods, finalizer: TRACKING_FINALIZER },
      kick: target => this.#loop.kick(target),
    })
  }

  async start(): Promise<void> {
    await observePods(this.#loop, this.#pods, pod => {
      this.#noteStray(pod)
      this.#adoption.seen(pod)
    })
    await this.#loop.observe(JOBS, {
      seen: job => {
        if (isFinished(job)) this.#adoption.workloadRemoved(nameOf(job))
        else this.#adoption.workloadSeen(nameOf(job), job.spec.selector)
        this.#loop.kick(nameOf(job))
      },
      removed: job => {
        this.#adoption.workloadRemoved(nameOf(job))
        this.#failures.delete(job.metadata.uid ?? '')
        this.#loop.kick(nameOf(job))
      },
    })
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  /** A pod whose job was taken from it is counted by nobody. */
  #noteStray(pod: Frozen<Pod>): void {
    const { finalizers = [], ownerReferences } = pod.metadata
    if (!finalizers.includes(TRACKING_FINALIZER) || controllerOf(ownerReferences)?.kind === KIND) return
    const { namespace, name } = nameOf(pod)
    this.#strays.set(namespace, (this.#strays.get(namespace) ?? new Set()).add(name))
    this.#loop.kick({ namespace, name: STRAYS })
  }

  async #releaseStrays(namespace: string): Promise<void> {
    const names = this.#strays.get(namespace) ?? new Set<string>()
    for (const name of names) {
      await this.#release(
        { namespace, name },
        pod => controllerOf(pod.metadata.ownerReferences)?.kind !== KIND,
      )
      names.delete(name)
    }
    if (names.size === 0) this.#strays.delete(namespace)
  }

  async #reconcile(target: ObjectName): Promise<ReconcileResult> {
    if (target.name === STRAYS) {
      await this.#releaseStrays(target.namespace)
      return undefined
    }
    const { client, clock } = this.#options
    const job = await client.get(JOBS, target)
    const uid = job?.metadata.uid
    const ends = job === undefined || job.metadata.deletionTimestamp !== undefined || isFinished(job)
    // Nobody counts those of an earlier job of this name, or of one that is done.
    for (const pod of this.#heldBy(target)) if (ends || pod.owner !== uid) await this.#release(pod)
    if (job === undefined || uid === undefined) return undefined
    if (ends) return await this.#expire(job)
    const owner = ownerReferenceTo(job, JOB)
    await this.#adoption.search(target, job.spec.selector, owner)
    await this.#adoption.release(job.spec.selector, owner, this.#podsOf(job))
    const now = clock.now()
    const started = await this.#start(job, now)
    const pods = this.#podsOf(job)
    const counts = countPods(started, pods)
    this.#noteFailures(started, pods, counts, now)
    const plan = planJob(started, pods, counts, now, index => this.#failures.get(uid)?.get(index))
    // The counts first: a pod whose finalizer is gone can no longer be counted.
    await this.#writeCounts(started, counts, plan, now)
    const { uncounted, ignored } = counts
    const counted = new Set([...uncounted.succeeded, ...uncounted.failed, ...ignored])
    for (const pod of this.#heldBy(target)) if (counted.has(pod.uid)) await this.#release(pod)
    await Promise.all(plan.remove.map(pod => this.#remove(pod, target)))
    await Promise.all(plan.create.map(task => this.#changes.create(started, () => podDraft(started, task))))
    return plan.lookAt === undefined ? undefined : { requeueAfter: Math.max(1, plan.lookAt - now) }
  }

  #noteFailures(
    job: Frozen<Job>,
    pods: readonly OwnedPod[],
    { failed, uncounted }: Counts,
    now: number,
  ): void {
    const { metadata, status } = job
    if (failed <= (status?.failed ?? 0)) return
    const times = this.#failures.get(metadata.uid ?? '') ?? new Map<number | undefined, number>()
    this.#failures.set(metadata.uid ?? '', times.set(undefined, now))
    const before = new Set(status?.uncountedTerminatedPods?.failed)
    const fresh = new Set(uncounted.failed.filter(uid => !before.has(uid)))
    for (const { uid, index } of pods) if (index !== undefined && fresh.has(uid)) times.set(index, now)
  }

  #heldBy(job: ObjectName): readonly OwnedPod[] {
    return this.#pods.of(job).filter(({ finalizers }) => finalizers.includes(TRACKING_FINALIZER))
  }

  #podsOf(job: Frozen<Job>): readonly OwnedPod[] {
    return this.#pods.of(nameOf(job)).filter(({ owner }) => owner === job.metadata.uid)
  }

  async #start(job: Frozen<Job>, now: number): Promise<Frozen<Job>> {
    if (job.status?.startTime !== undefined || job.spec.suspend === true) return job
    const status = { ...job.status, startTime: formatTime(now) }
    await writeStatus(this.#options.client, JOBS, job, status)
    return { ...job, status } as Frozen<Job>
  }

  async #writeCounts(job: Frozen<Job>, counts: Counts, plan: JobPlan, now: number): Promise<void> {
    const { client, events } = this.#options
    const active = this.#podsOf(job).filter(isActive).length
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
      ...(job.spec.backoffLimitPerIndex === undefined
        ? {}
        : { failedIndexes: formatIndexes(counts.failedIndexes) }),
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

  async #remove(pod: OwnedPod, job: ObjectName): Promise<void> {
    await unlessAbsent(() => this.#options.client.delete(PODS, pod, { preconditions: { uid: pod.uid } }))
    this.#pods.markDeleting(pod, job)
  }

  /** Lets go of a pod that is counted, or that nobody counts. @param still says whether that holds for what it is now */
  async #release(target: ObjectName, still: (pod: Frozen<Pod>) => boolean = () => true): Promise<void> {
    const { client } = this.#options
    await unlessAbsent(async () => {
      const pod = await client.get(PODS, target)
      const { finalizers = [], resourceVersion = '' } = pod?.metadata ?? {}
      if (pod === undefined || !finalizers.includes(TRACKING_FINALIZER) || !still(pod)) return
      const left = finalizers.filter(each => each !== TRACKING_FINALIZER)
      const body = { metadata: { finalizers: left, resourceVersion } }
      await client.patch(PODS, target, { type: 'merge', body })
    })
  }

  /** Removes a finished job when its time has come. */
  async #expire(job: Frozen<Job>): Promise<ReconcileResult> {
    const { client, clock } = this.#options
    const { ttlSecondsAfterFinished: ttl } = job.spec
    if (ttl === undefined || job.metadata.deletionTimestamp !== undefined) return undefined
    const finished = job.status?.conditions?.find(({ type }) => type === 'Complete' || type === 'Failed')
    const left = Date.parse(finished?.lastTransitionTime ?? '') + ttl * 1000 - clock.now()
    if (left > 0) return { requeueAfter: left }
    const { uid = '' } = job.metadata
    const options = { preconditions: { uid }, propagationPolicy: 'Foreground' }
    await unlessAbsent(() => client.delete(JOBS, nameOf(job), options))
    return undefined
  }
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

function podDraft(job: Frozen<Job>, { index, failures }: Task): Draft<Pod> {
  const { metadata, spec } = structuredClone(job.spec.template as Job['spec']['template'])
  const { name, namespace, uid = '' } = job.metadata
  const base = name.slice(0, LONGEST_BASE)
  if (index !== undefined) {
    spec.hostname ??= `${name}-${index}`
    for (const container of [...spec.containers, ...(spec.initContainers ?? [])]) {
      container.env = [...(container.env ?? []), { name: 'JOB_COMPLETION_INDEX', value: String(index) }]
    }
  }
  const task = index === undefined ? {} : { [INDEX_ANNOTATION]: String(index) }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      labels: { ...metadata?.labels, ...task },
      annotations: {
        ...metadata?.annotations,
        ...task,
        ...(failures === undefined ? {} : { [INDEX_FAILURES_ANNOTATION]: String(failures) }),
      },
      generateName: index === undefined ? `${base}-` : `${base}-${index}-`,
      ...(namespace === undefined ? {} : { namespace }),
      finalizers: [TRACKING_FINALIZER],
      ownerReferences: [
        { apiVersion: 'batch/v1', kind: KIND, name, uid, controller: true, blockOwnerDeletion: true },
      ],
    },
    spec,
    status: {},
  }
}
