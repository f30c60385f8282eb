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
import { type ContainerProblem, LABEL } from '../../protocol/index.ts'
import type { Pod, PodStatus } from '../../protocol/kubernetes/index.ts'
import type { ContainerDetails, ContainerInventory, DockerEngine } from '../docker/index.ts'
import type { ContainerEnder } from './container-ender.ts'
import { allContainers, ContainerLife } from './container-life.ts'
import type { ContainerMaker } from './container-maker.ts'
import { gracePeriodOf, type PodPlace, requestedLabels } from './container-options.ts'
import { DOCKER_LABEL } from './docker-labels.ts'
import type { Happening } from './pod-events.ts'
import { type ContainerDecision, planPod } from './pod-plan.ts'
import { isInitialized, podStatus, type WaitingReason } from './pod-status.ts'
import type { PodStore } from './pod-store.ts'
import { type ContainerView, type PodView, viewPod } from './pod-view.ts'
import { PodVolumes } from './pod-volumes.ts'
import { CrashCounter } from './restart-policy.ts'
import type { Sandboxes } from './sandboxes.ts'
import type { TerminationMessages } from './termination-messages.ts'

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
}

/** What is remembered of a pod between two looks; losing it costs nothing but a repeated signal or message. */
interface PodMemory {
  readonly waiting: Map<string, WaitingReason>
  readonly startTime: string
  /** Monotonic milliseconds at which what still runs is killed, once its end has begun. */
  killAt: number | undefined
  /** Monotonic milliseconds at which its volumes are looked at again. */
  refreshAt: number
}

/** Milliseconds between two looks at what volumes are made of; up to half of it more, so that pods do not come all at once. */
const REFRESH_INTERVAL = 40_000

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

export class PodRuntime implements Daemon {
  readonly name = 'pod runtime'
  readonly #options: PodRuntimeOptions
  readonly #loop: ReconcileLoop
  readonly #crashes = new CrashCounter()
  readonly #memory = new Map<string, PodMemory>()
  readonly #life: ContainerLife
  /** Docker ids of our containers by pod. */
  readonly #containersOf = new Map<string, Set<string>>()

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
    this.#life = new ContainerLife({
      ...options,
      onChange: uid => this.#loop.kick(uid),
      tell: (uid, happening) => this.#tell(uid, happening),
    })
  }

  start(): Promise<void> {
    const { inventory, store } = this.#options
    inventory.onChange((container, previous) => this.#containerChanged(container, previous))
    for (const container of inventory.all()) this.#containerChanged(container, undefined)
    for (const uid of store.uids()) this.#loop.kick(uid)
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

  /** Looks at every pod again, e.g. after the network was away. */
  podsChanged(): void {
    for (const uid of new Set([...this.#options.store.uids(), ...this.#containersOf.keys()]))
      this.#loop.kick(uid)
  }

  /** Everything that stands in the way of containers with a uuid. */
  problems(): ContainerProblem[] {
    const problems: ContainerProblem[] = []
    for (const [uid, { waiting }] of this.#memory) {
      const pod = this.#options.store.get(uid)
      if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) continue
      const labels = requestedLabels(pod)
      for (const [name, { reason, message }] of waiting) {
        const uuid = labels[name]?.[LABEL.containerUuid]
        if (uuid !== undefined && message !== undefined)
          problems.push({ uuid, reason, message: message.slice(0, 4000) })
      }
    }
    return problems
  }

  #containerChanged(container: ContainerDetails | undefined, previous: ContainerDetails | undefined): void {
    const details = container ?? previous
    const uid = details?.labels[DOCKER_LABEL.podUid]
    if (
      details === undefined ||
      uid === undefined ||
      details.labels[DOCKER_LABEL.owner] !== this.#options.owner
    )
      return
    const ids = this.#containersOf.get(uid) ?? new Set()
    if (container === undefined) ids.delete(details.id)
    else ids.add(details.id)
    if (ids.size === 0) this.#containersOf.delete(uid)
    else this.#containersOf.set(uid, ids)
    this.#lookAt(uid)
  }

  /**
   * What fails makes and removes containers, and changes the pod's status, which comes back from the server as a change of
   * the pod: without a pause it would wake itself, for ever.
   */
  #lookAt(uid: string): void {
    if (this.#loop.failures(uid) > 0) this.#loop.kickAfter(uid, RETRY.initial)
    else this.#loop.kick(uid)
  }

  #view(uid: string): PodView {
    const ids = this.#containersOf.get(uid) ?? new Set<string>()
    return viewPod([...ids].flatMap(id => this.#options.inventory.get(id) ?? []))
  }

  #remember(uid: string): PodMemory {
    let memory = this.#memory.get(uid)
    if (memory === undefined) {
      const startTime =
        this.#options.store.get(uid)?.status?.startTime ?? `${new Date().toISOString().slice(0, 19)}Z`
      memory = {
        waiting: new Map(),
        startTime,
        killAt: undefined,
        refreshAt: nextRefresh(),
      }
      this.#memory.set(uid, memory)
    }
    return memory
  }

  async #reconcile(uid: string): Promise<ReconcileResult> {
    const pod = this.#options.store.get(uid)
    if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) return await this.#end(uid, pod)
    let requeueAfter: number | undefined
    const stuck: unknown[] = []
    for (let step = 0; step < STEPS_PER_LOOK; step += 1) {
      const outcome = await this.#step(uid, pod, stuck)
      requeueAfter = outcome.requeueAfter
      if (!outcome.again) break
    }
    const refreshIn = await this.#refreshVolumes(uid, pod)
    if (refreshIn !== undefined) requeueAfter = Math.min(requeueAfter ?? refreshIn, refreshIn)
    await this.#readMessages(uid, pod)
    this.#report(uid, pod)
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
      replaceIn: ({ details }) => timeLeft(details, SANDBOX_PAUSE),
    })
    for (const id of plan.kill) {
      await engine.kill(id, 'SIGKILL')
      await inventory.refresh(id)
    }
    for (const id of plan.remove) {
      await this.#removeContainer(view, id).catch((error: unknown) => stuck.push(error))
    }
    if (plan.sandbox.kind === 'wait') return { again: false, requeueAfter: plan.sandbox.milliseconds }
    if (plan.sandbox.kind === 'make') return await this.#makeSandbox(uid, pod, plan.sandbox.attempt)
    const sandboxId = plan.sandbox.view.details.id
    this.#life.probe(uid, pod, view, sandboxId)
    const waits: number[] = []
    let again = false
    for (const [name, decision] of plan.containers) {
      const wait = await this.#carryOut(uid, pod, name, decision, sandboxId)
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
    const { sandboxes } = this.#options
    const { waiting } = this.#remember(uid)
    try {
      await sandboxes.make(this.#options.place(pod), attempt)
    } catch (error) {
      const message = explainError(error)
      this.#setWaiting(
        uid,
        allContainers(pod).map(({ name }) => name),
        { reason: 'FailedCreatePodSandBox', message },
      )
      this.#report(uid, pod)
      throw error
    }
    for (const [name, { reason }] of waiting) {
      if (reason === 'FailedCreatePodSandBox') this.#clearWaiting(uid, name)
    }
    return { again: true, requeueAfter: undefined }
  }

  /** @returns milliseconds until it is worth another look, undefined when nothing is to be waited for */
  async #carryOut(
    uid: string,
    pod: Pod,
    name: string,
    decision: ContainerDecision,
    sandboxId: string,
  ): Promise<number | undefined> {
    switch (decision.kind) {
      case 'keep':
      case 'done':
      case 'hold':
        this.#clearWaiting(uid, name)
        return undefined
      case 'wait':
        this.#setWaiting(uid, [name], {
          reason: 'CrashLoopBackOff',
          message: `started again in ${Math.ceil(decision.milliseconds / 1000)} s: it keeps ending soon after its start`,
        })
        return decision.milliseconds
      case 'start-made':
        await this.#startContainer(uid, pod, name, decision.id, sandboxId)
        return undefined
      case 'stop':
        return await this.#life.endOne(pod, decision.view)
      case 'start':
        return await this.#makeContainer(uid, pod, name, decision.attempt, sandboxId)
    }
  }

  async #makeContainer(
    uid: string,
    pod: Pod,
    name: string,
    attempt: number,
    sandboxId: string,
  ): Promise<number | undefined> {
    const container = allContainers(pod).find(candidate => candidate.name === name)
    if (container === undefined) return undefined
    try {
      const made = await this.#options.maker.make(pod, container, attempt, sandboxId, () =>
        this.#loop.kick(uid),
      )
      if (made.kind === 'made') await this.#startContainer(uid, pod, name, made.dockerId, sandboxId)
      else if (made.reason !== undefined) this.#setWaiting(uid, [name], made.reason)
      return made.kind === 'made' ? undefined : made.retryIn
    } catch (error) {
      if (this.#remember(uid).waiting.get(name)?.reason !== 'RunContainerError') {
        this.#setWaiting(uid, [name], { reason: 'CreateContainerError', message: explainError(error) })
        this.#report(uid, pod)
      }
      throw error
    }
  }

  async #startContainer(uid: string, pod: Pod, name: string, id: string, sandboxId: string): Promise<void> {
    const { engine, inventory } = this.#options
    const container = allContainers(pod).find(candidate => candidate.name === name)
    if (container !== undefined) this.#life.starts(container, id)
    try {
      this.#tell(uid, {
        type: 'Normal',
        reason: 'Created',
        message: `Created container: ${name}`,
        container: name,
      })
      await engine.start(id)
      this.#tell(uid, {
        type: 'Normal',
        reason: 'Started',
        message: `Started container ${name}`,
        container: name,
      })
      this.#clearWaiting(uid, name)
    } catch (error) {
      this.#life.hasEnded(id)
      this.#setWaiting(uid, [name], { reason: 'RunContainerError', message: explainError(error) })
      // A container that cannot be started is made anew next time: what was wrong may be in how it was made.
      await engine.remove(id)
      await inventory.refresh(id)
      this.#report(uid, pod)
      throw error
    }
    if (container !== undefined) this.#life.hasStarted(uid, pod, container, id, sandboxId)
    await inventory.refresh(id)
  }

  /** @returns milliseconds until the pod's volumes are to be looked at again; undefined when none can change */
  async #refreshVolumes(uid: string, pod: Pod): Promise<number | undefined> {
    if (PodVolumes.changing(pod).size === 0) return undefined
    const memory = this.#remember(uid)
    const sandbox = this.#view(uid).sandboxes[0]
    if (performance.now() >= memory.refreshAt && sandbox?.details.status === 'running') {
      try {
        await this.#options.maker.refresh(pod, sandbox.details.id)
      } catch (error) {
        this.#options.log.warn(
          { pod: pod.metadata.name, reason: explainError(error) },
          'the volumes of a pod stay as they are',
        )
      }
      memory.refreshAt = nextRefresh()
    }
    return Math.max(1, memory.refreshAt - performance.now())
  }

  async #readMessages(uid: string, pod: Pod): Promise<void> {
    const { messages, store } = this.#options
    const view = this.#view(uid)
    for (const container of allContainers(pod)) {
      for (const run of view.containers.get(container.name) ?? []) {
        if (run.details.status !== 'exited') continue
        this.#life.hasEnded(run.details.id)
        await messages.read(store.directoryOf(uid), container, run)
      }
    }
  }

  async #removeContainer(view: PodView, id: string): Promise<void> {
    const { sandboxes, engine, inventory } = this.#options
    if (view.sandboxes.some(({ details }) => details.id === id)) {
      await sandboxes.remove(id)
      return
    }
    await engine.remove(id)
    await inventory.refresh(id)
  }

  /** Ends a pod: asks, waits, insists, cleans up. Also for pods of which nothing but containers is left. */
  async #end(uid: string, pod: Pod | undefined): Promise<ReconcileResult> {
    const { store, events, maker } = this.#options
    const view = this.#view(uid)
    const running = [...view.containers.values()].flat().filter(({ details }) => details.pid !== 0)
    if (running.length > 0) return await this.#stopContainers(uid, pod, running)
    for (const { details } of [...view.containers.values()].flat()) {
      this.#life.hasEnded(details.id)
      await this.#removeContainer(view, details.id)
    }
    for (const { details } of view.sandboxes) await this.#removeContainer(view, details.id)
    this.#life.forget(uid)
    const known = this.#memory.get(uid)
    for (const name of known?.waiting.keys() ?? []) this.#clearWaiting(uid, name)
    this.#crashes.forget([...view.containers.keys()].map(name => `${uid}/${name}`))
    if (pod === undefined) {
      this.#memory.delete(uid)
      await maker.forget(uid)
      await store.clear(uid)
    } else {
      // The last status is that of an ended pod; then its server object may go.
      events.onEnded(pod)
    }
    return undefined
  }

  async #stopContainers(
    uid: string,
    pod: Pod | undefined,
    running: readonly ContainerView[],
  ): Promise<ReconcileResult> {
    const memory = this.#remember(uid)
    const now = performance.now()
    if (memory.killAt === undefined) {
      const labelled = Number(running[0]?.details.labels[DOCKER_LABEL.gracePeriod])
      const seconds = pod === undefined ? (Number.isFinite(labelled) ? labelled : 0) : gracePeriodOf(pod)
      memory.killAt = now + seconds * 1000
    } else if (pod?.metadata.deletionGracePeriodSeconds !== undefined) {
      // The grace period may be shortened while it passes, never lengthened.
      memory.killAt = Math.min(memory.killAt, now + pod.metadata.deletionGracePeriodSeconds * 1000)
    }
    return { requeueAfter: await this.#life.endAll(pod, running, Math.max(0, memory.killAt - now)) }
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

  #setWaiting(uid: string, names: readonly string[], reason: WaitingReason): void {
    const { waiting } = this.#remember(uid)
    let changed = false
    for (const name of names) {
      const before = waiting.get(name)
      if (before?.reason === reason.reason && before.message === reason.message) continue
      waiting.set(name, reason)
      changed = true
      this.#tell(uid, happeningOf(name, reason))
    }
    if (changed) this.#options.events.onProblemsChanged()
  }

  #tell(uid: string, happening: Happening): void {
    const pod = this.#options.store.get(uid)
    if (pod !== undefined) this.#options.events.onHappening(pod, happening)
  }

  #clearWaiting(uid: string, name: string): void {
    if (this.#memory.get(uid)?.waiting.delete(name)) this.#options.events.onProblemsChanged()
  }

  #report(uid: string, pod: Pod): void {
    const { sandboxes, hostIp, events, messages } = this.#options
    const view = this.#view(uid)
    const memory = this.#remember(uid)
    const sandbox = view.sandboxes[0]
    const podIp =
      sandbox?.details.status === 'running' ? sandboxes.address(pod, sandbox.details.id, hostIp) : undefined
    events.onStatus(
      pod,
      podStatus(pod, view, {
        hostIp,
        podIp,
        waiting: memory.waiting,
        initialized: isInitialized(pod, view, run => this.#life.started(pod, run)),
        started: run => this.#life.started(pod, run),
        ready: run => this.#life.ready(pod, run),
        message: id => messages.get(id),
        startTime: memory.startTime,
        now: `${new Date().toISOString().slice(0, 19)}Z`,
      }),
    )
  }
}

function nextRefresh(): number {
  return performance.now() + REFRESH_INTERVAL * (1 + Math.random() / 2)
}

/** What kubectl shows of a container that waits. */
function happeningOf(container: string, { reason, message = reason }: WaitingReason): Happening {
  const warning = { type: 'Warning', container } as const
  switch (reason) {
    case 'ContainerCreating':
      return { ...warning, reason: 'FailedMount', message }
    case 'FailedCreatePodSandBox':
      return { ...warning, reason, message }
    case 'CrashLoopBackOff':
      // How long it still waits is in its status; here it would be another message each time.
      return { ...warning, reason: 'BackOff', message: `Back-off restarting failed container ${container}` }
    case 'ImagePullBackOff':
      return { ...warning, reason: 'BackOff', message: `Back-off pulling the image: ${message}` }
    default:
      return { ...warning, reason: 'Failed', message: `Error: ${message}` }
  }
}
