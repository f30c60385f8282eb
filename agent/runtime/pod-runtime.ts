/**
 * Runs the pods of this host on Docker: the kubelet's part of the work.
 *
 * Level-triggered per pod: whatever changed (the pod, one of its containers, an image, time), the pod is looked at as a
 * whole and brought one step closer to what it should be. Nothing here needs a server.
 */
import {
  type Daemon,
  explainError,
  type Logger,
  ReconcileLoop,
  type ReconcileResult,
} from '../../kit/index.ts'
import type { ContainerProblem } from '../../protocol/index.ts'
import type { Pod, PodStatus } from '../../protocol/kubernetes/index.ts'
import type { ContainerDetails, ContainerInventory, DockerEngine } from '../docker/index.ts'
import type { ContainerEnder } from './container-ender.ts'
import { allContainers, ContainerLife } from './container-life.ts'
import type { ContainerMaker } from './container-maker.ts'
import { gracePeriodOf, type PodPlace } from './container-options.ts'
import type { Demand } from './container-resources.ts'
import { ContainerStarter } from './container-starter.ts'
import { PodContainers } from './pod-containers.ts'
import { DEADLINE_EXCEEDED, timeLeftOf } from './pod-deadline.ts'
import { PodEnder } from './pod-ender.ts'
import type { Happening } from './pod-events.ts'
import type { PodFailure, PodFailures } from './pod-failures.ts'
import { isOver, planPod } from './pod-plan.ts'
import { PodReporter } from './pod-reporter.ts'
import { PodResizes } from './pod-resizes.ts'
import type { PodStore } from './pod-store.ts'
import type { ContainerView, PodView } from './pod-view.ts'
import { CrashCounter } from './restart-policy.ts'
import type { Sandboxes } from './sandboxes.ts'
import type { TerminationMessages } from './termination-messages.ts'
import { VolumeRefresher } from './volume-refresher.ts'
import { WaitingReasons } from './waiting-reasons.ts'

/** What the runtime tells others. */
export interface PodRuntimeEvents {
  /** The status of a pod, after every look at it. */
  readonly onStatus: (pod: Pod, status: PodStatus) => void
  /** Nothing is left of a pod that was to be ended; the server may forget it. */
  readonly onEnded: (pod: Pod) => void
  /** What stands in the way of containers of Drover's changed. */
  readonly onProblemsChanged: () => void
  /** Something happened to a pod that people want to know. */
  readonly onHappening: (pod: Pod, happening: Happening) => void
}

export interface PodRuntimeOptions {
  readonly engine: DockerEngine
  readonly inventory: ContainerInventory
  readonly sandboxes: Sandboxes
  readonly maker: ContainerMaker
  readonly ender: ContainerEnder
  readonly messages: TerminationMessages
  readonly store: PodStore
  readonly events: PodRuntimeEvents
  readonly log: Logger
  /** Says whose containers these are; the host's id. */
  readonly owner: string
  readonly hostIp: string
  readonly place: (pod: Pod) => PodPlace
  /** What the host has for pods. */
  readonly host: Demand
  readonly failures: PodFailures
  /** Why a new pod cannot be taken now; undefined when it can. */
  readonly refuse: (pod: Pod) => PodFailure | undefined
}

/** A step (make a sandbox, start containers) is followed by another look; more in one go would starve other pods. */
const STEPS_PER_LOOK = 3

/** Milliseconds between looks at a pod that cannot be brought further. */
const RETRY = { initial: 500, maximum: 30_000 }

/**
 * Milliseconds between the end of a sandbox and the next one. It does not end by itself: mostly Docker is about to stop, and
 * what it starts on its way out may keep its root file system mounted for ever.
 */
const SANDBOX_PAUSE = 1500

/** What is left of a time that began when a container ended, in milliseconds. */
function timeLeft({ finishedAt }: ContainerDetails, milliseconds: number): number {
  return finishedAt === undefined ? 0 : Math.max(0, Date.parse(finishedAt) + milliseconds - Date.now())
}

function isFinished({ status }: Pod): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed'
}

export class PodRuntime implements Daemon {
  readonly name = 'pod runtime'
  readonly #options: PodRuntimeOptions
  readonly #loop: ReconcileLoop
  readonly #crashes = new CrashCounter()
  readonly #life: ContainerLife
  readonly #resizes: PodResizes
  readonly #starter: ContainerStarter
  readonly #ender: PodEnder
  readonly #waiting: WaitingReasons
  readonly #volumes: VolumeRefresher
  readonly #reporter: PodReporter
  /** Seconds that containers of pods have that are given up. */
  readonly #graceOf = new Map<string, number>()
  readonly #containers: PodContainers

  constructor(options: PodRuntimeOptions) {
    this.#options = options
    this.#loop = new ReconcileLoop({
      name: 'pod',
      log: options.log,
      concurrency: 8,
      deadline: 120_000,
      backoff: RETRY,
      reconcile: uid => this.#reconcile(uid),
    })
    this.#containers = new PodContainers({
      ...options,
      onChange: (uid, id, container) => {
        if (container === undefined) this.#resizes.forgetContainer(id)
        this.#lookAt(uid)
      },
    })
    this.#life = new ContainerLife({
      ...options,
      onChange: uid => this.#loop.kick(uid),
      tell: (uid, happening) => this.#tell(uid, happening),
    })
    this.#ender = new PodEnder({ ...options, life: this.#life })
    this.#waiting = new WaitingReasons({
      podOf: uid => options.store.get(uid),
      onChange: options.events.onProblemsChanged,
      tell: (uid, happening) => this.#tell(uid, happening),
    })
    this.#resizes = new PodResizes({
      ...options,
      pods: () => this.#activePods(),
      tell: (uid, happening) => this.#tell(uid, happening),
    })
    this.#starter = new ContainerStarter({
      ...options,
      life: this.#life,
      waiting: this.#waiting,
      resizes: this.#resizes,
      viewOf: uid => this.#view(uid),
      onChange: uid => this.#loop.kick(uid),
      tell: (uid, happening) => this.#tell(uid, happening),
    })
    this.#reporter = new PodReporter({
      ...options,
      life: this.#life,
      waiting: this.#waiting,
      resizes: this.#resizes,
    })
    this.#volumes = new VolumeRefresher({
      refresh: (pod, sandboxId) => options.maker.refresh(pod, sandboxId),
      log: options.log,
    })
  }

  start(): Promise<void> {
    const { store } = this.#options
    this.#containers.start()
    for (const uid of [...store.uids(), ...store.remains()]) this.#loop.kick(uid)
    this.#loop.start()
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    this.#life.stop()
    await this.#loop.stop()
  }

  /** The pod was added, changed or taken away in the store. */
  podChanged(uid: string): void {
    this.#lookAt(uid)
  }

  /**
   * Gives a pod up, for good.
   *
   * @param seconds that its containers have
   */
  async fail(uid: string, failure: PodFailure, seconds: number): Promise<void> {
    this.#graceOf.set(uid, seconds)
    await this.#options.failures.set(uid, failure)
    this.#tell(uid, { type: 'Warning', ...failure })
    this.#loop.kick(uid)
  }

  /** Whether something of a pod runs. */
  isActive(uid: string): boolean {
    const { sandboxes, containers } = this.#view(uid)
    return [...sandboxes, ...[...containers.values()].flat()].some(({ details }) => details.pid !== 0)
  }

  /** Something that the pod refers to has changed. */
  inputsChanged(uid: string): void {
    this.#volumes.changed(uid)
    this.#lookAt(uid)
  }

  /** Looks at every pod again, e.g. after the network was away. */
  podsChanged(): void {
    for (const uid of new Set([...this.#options.store.uids(), ...this.#containers.uids()]))
      this.#loop.kick(uid)
  }

  /** Everything that stands in the way of containers with a uuid. */
  problems(): ContainerProblem[] {
    return this.#waiting.problems()
  }

  /**
   * What fails makes and removes containers, and changes the pod's status, which comes back from the server as a change of
   * the pod: without a pause it would wake itself, for ever.
   */
  #lookAt(uid: string): void {
    if (this.#loop.failures(uid) > 0) this.#loop.kickAfter(uid, RETRY.initial)
    else this.#loop.kick(uid)
  }

  /** Pods that have a share of the host. */
  #activePods(): { pod: Pod; view: PodView }[] {
    const { store } = this.#options
    return store.uids().flatMap(uid => {
      const pod = store.get(uid)
      return pod === undefined || isFinished(pod) ? [] : [{ pod, view: this.#view(uid) }]
    })
  }

  #view(uid: string): PodView {
    return this.#containers.view(uid)
  }

  async #reconcile(uid: string): Promise<ReconcileResult> {
    const pod = this.#options.store.get(uid)
    if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) return await this.#end(uid, pod)
    // It has ended, and whatever there was of it here is gone: it is not run again.
    if (isFinished(pod) && !this.#containers.has(uid)) return undefined
    try {
      const failure = await this.#failureOf(uid, pod)
      return failure === undefined ? await this.#bringUp(uid, pod) : await this.#giveUp(uid, pod)
    } finally {
      this.#reporter.report(uid, pod, this.#view(uid))
    }
  }

  /** Why the pod is given up: because it was, because it cannot be taken, or because its time is over. */
  async #failureOf(uid: string, pod: Pod): Promise<PodFailure | undefined> {
    const { failures, refuse } = this.#options
    const known = failures.get(uid)
    if (known !== undefined) return known
    const isNew = !this.#reporter.knows(uid) && pod.status?.startTime === undefined
    const timeLeft = timeLeftOf(pod, this.#reporter.startTime(uid, pod), Date.now())
    const failure =
      isNew && !this.#containers.has(uid) ? refuse(pod) : timeLeft === 0 ? DEADLINE_EXCEEDED : undefined
    if (failure !== undefined && !isOver(pod, this.#view(uid))) {
      await failures.set(uid, failure)
      this.#tell(uid, { type: 'Warning', ...failure })
      return failure
    }
    if (timeLeft !== undefined && timeLeft > 0) this.#loop.kickAfter(uid, timeLeft)
    return undefined
  }

  /** Nothing of the pod runs any more in the end, and its volumes are gone; its containers stay, for their logs. */
  async #giveUp(uid: string, pod: Pod): Promise<ReconcileResult> {
    const { maker } = this.#options
    maker.unfollow(uid)
    this.#waiting.forget(uid)
    this.#volumes.forget(uid)
    const seconds = this.#graceOf.get(uid) ?? gracePeriodOf(pod)
    const requeueAfter = await this.#ender.giveUp(uid, pod, this.#view(uid), seconds)
    await this.#reporter.readMessages(uid, pod, this.#view(uid))
    if (requeueAfter !== undefined) return { requeueAfter }
    await maker.discardVolumes(uid)
    return undefined
  }

  async #bringUp(uid: string, pod: Pod): Promise<ReconcileResult> {
    let requeueAfter: number | undefined
    const stuck: unknown[] = []
    for (let step = 0; step < STEPS_PER_LOOK; step += 1) {
      const outcome = await this.#step(uid, pod, stuck)
      requeueAfter = outcome.requeueAfter
      if (!outcome.again) break
    }
    const refreshIn = await this.#followInputs(uid, pod)
    if (refreshIn !== undefined) requeueAfter = Math.min(requeueAfter ?? refreshIn, refreshIn)
    await this.#reporter.readMessages(uid, pod, this.#view(uid))
    if (stuck.length > 0) {
      if (requeueAfter !== undefined) this.#loop.kickAfter(uid, requeueAfter)
      throw stuck[0]
    }
    return requeueAfter === undefined ? undefined : { requeueAfter }
  }

  /**
   * One step towards a running pod. `again`: something was made, so that more may be possible now.
   *
   * @param stuck takes the errors about what could not be removed: the pod can do without
   */
  async #step(
    uid: string,
    pod: Pod,
    stuck: unknown[],
  ): Promise<{ again: boolean; requeueAfter: number | undefined }> {
    const { sandboxes, engine, inventory } = this.#options
    const view = this.#view(uid)
    for (const runs of view.containers.values()) this.#countCrash(uid, runs[0])
    const plan = planPod(pod, view, {
      attached: id => sandboxes.attached(pod, id),
      restartIn: run => this.#restartIn(uid, run),
      started: run => this.#life.started(pod, run),
      unwell: run => this.#life.unwell(run),
      resize: run => this.#resizes.decide(pod, run, view),
      replaceIn: ({ details }) => timeLeft(details, SANDBOX_PAUSE),
    })
    for (const id of plan.kill) {
      await engine.kill(id, 'SIGKILL')
      await inventory.refresh(id)
    }
    for (const id of plan.remove) {
      await this.#ender.remove(view, id).catch((error: unknown) => stuck.push(error))
    }
    if (plan.sandbox.kind === 'wait') return { again: false, requeueAfter: plan.sandbox.milliseconds }
    if (plan.sandbox.kind === 'make') return await this.#makeSandbox(uid, pod, plan.sandbox.attempt)
    const sandboxId = plan.sandbox.view.details.id
    this.#life.probe(uid, pod, view, sandboxId)
    const waits: number[] = []
    let again = false
    for (const [name, decision] of plan.containers) {
      const wait = await this.#starter.carryOut(uid, pod, name, decision, sandboxId)
      if (wait !== undefined) waits.push(wait)
      if (decision.kind === 'start' && wait === undefined) again = true
    }
    return {
      again: again && waits.length === 0,
      requeueAfter: waits.length === 0 ? undefined : Math.min(...waits),
    }
  }

  async #makeSandbox(
    uid: string,
    pod: Pod,
    attempt: number,
  ): Promise<{ again: boolean; requeueAfter: undefined }> {
    try {
      await this.#options.sandboxes.make(this.#options.place(pod), attempt)
    } catch (error) {
      const message = explainError(error)
      this.#waiting.set(
        uid,
        allContainers(pod).map(({ name }) => name),
        { reason: 'FailedCreatePodSandBox', message },
      )
      throw error
    }
    this.#waiting.clearReason(uid, 'FailedCreatePodSandBox')
    return { again: true, requeueAfter: undefined }
  }

  /** @returns milliseconds until the pod's volumes are to be looked at again; undefined when they are not */
  async #followInputs(uid: string, pod: Pod): Promise<number | undefined> {
    const { maker } = this.#options
    const view = this.#view(uid)
    if (isOver(pod, view)) {
      maker.unfollow(uid)
      return undefined
    }
    maker.follow(pod)
    const sandbox = view.sandboxes[0]?.details
    return sandbox?.status === 'running' ? await this.#volumes.look(uid, pod, sandbox.id) : undefined
  }

  /** Ends a pod. Also one of which nothing but containers is left. */
  async #end(uid: string, pod: Pod | undefined): Promise<ReconcileResult> {
    const { store, events, maker } = this.#options
    const view = this.#view(uid)
    maker.unfollow(uid)
    const requeueAfter = await this.#ender.end(uid, pod, view)
    if (requeueAfter !== undefined) return { requeueAfter }
    this.#waiting.forget(uid)
    this.#volumes.forget(uid)
    this.#crashes.forget([...view.containers.keys()].map(name => `${uid}/${name}`))
    if (pod === undefined) {
      this.#reporter.forget(uid)
      this.#resizes.forget(uid)
      this.#graceOf.delete(uid)
      this.#options.failures.forget(uid)
      await maker.forget(uid)
      await store.clear(uid)
    } else {
      // The last status is that of an ended pod; then its server object may go.
      events.onEnded(pod)
    }
    return undefined
  }

  #countCrash(uid: string, run: ContainerView | undefined): void {
    if (run?.details.status !== 'exited' || run.details.startedAt === undefined) return
    const { startedAt, finishedAt = startedAt } = run.details
    this.#crashes.ended(`${uid}/${run.name}`, run.details.id, Date.parse(finishedAt) - Date.parse(startedAt))
  }

  #restartIn(uid: string, run: ContainerView): number {
    const delay = this.#crashes.delay(`${uid}/${run.name}`)
    return timeLeft(run.details, delay)
  }

  #tell(uid: string, happening: Happening): void {
    const pod = this.#options.store.get(uid)
    if (pod !== undefined) this.#options.events.onHappening(pod, happening)
  }
}
