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
import {
  containerOptions,
  gracePeriodOf,
  hostsFileText,
  type PodPlace,
  requestedLabels,
} from './container-options.ts'
import { DOCKER_LABEL } from './docker-labels.ts'
import { ensureHostsFile } from './hosts-file.ts'
import type { ImagePuller } from './image-puller.ts'
import { type ContainerDecision, planPod } from './pod-plan.ts'
import { podStatus, type WaitingReason } from './pod-status.ts'
import type { PodStore } from './pod-store.ts'
import { type ContainerView, type PodView, viewPod } from './pod-view.ts'
import { CrashCounter } from './restart-policy.ts'
import type { Sandboxes } from './sandboxes.ts'

/** What the runtime tells others. */
export interface PodRuntimeEvents {
  /** The status of a pod, after every look at it. */
  readonly onStatus: (pod: Pod, status: PodStatus) => void
  /** Nothing is left of a pod that was to be ended; the server may forget it. */
  readonly onEnded: (pod: Pod) => void
  /** What stands in the way of containers of Drover's changed. */
  readonly onProblemsChanged: () => void
}

export interface PodRuntimeOptions {
  readonly engine: DockerEngine
  readonly inventory: ContainerInventory
  readonly sandboxes: Sandboxes
  readonly images: ImagePuller
  readonly store: PodStore
  readonly events: PodRuntimeEvents
  readonly log: Logger
  /** Says whose containers these are; the host's id. */
  readonly owner: string
  readonly pauseImage: string
  readonly nodeName: string
  readonly hostIp: string
  readonly balancerDirectory: (containerUuid: string) => string
}

/** What is remembered of a pod between two looks; losing it costs nothing but a repeated signal or message. */
interface PodMemory {
  readonly waiting: Map<string, WaitingReason>
  readonly startTime: string
  /** Monotonic milliseconds at which what still runs is killed, once its end has begun. */
  killAt: number | undefined
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

export class PodRuntime implements Daemon {
  readonly name = 'pod runtime'
  readonly #options: PodRuntimeOptions
  readonly #loop: ReconcileLoop
  readonly #crashes = new CrashCounter()
  readonly #memory = new Map<string, PodMemory>()
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
      memory = { waiting: new Map(), startTime, killAt: undefined }
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
      await sandboxes.make(this.#place(pod), attempt)
    } catch (error) {
      const message = explainError(error)
      this.#setWaiting(
        uid,
        pod.spec.containers.map(({ name }) => name),
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
        this.#clearWaiting(uid, name)
        return undefined
      case 'wait':
        this.#setWaiting(uid, [name], {
          reason: 'CrashLoopBackOff',
          message: `started again in ${Math.ceil(decision.milliseconds / 1000)} s: it keeps ending soon after its start`,
        })
        return decision.milliseconds
      case 'start-made':
        await this.#startContainer(uid, name, decision.id)
        return undefined
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
    const { engine, images, sandboxes, store, hostIp } = this.#options
    const container = pod.spec.containers.find(candidate => candidate.name === name)
    if (container === undefined) return undefined
    const key = `${uid}/${name}/${attempt}`
    const policy = container.imagePullPolicy ?? 'IfNotPresent'
    const image = await images.require(key, container.image, policy, () => this.#loop.kick(uid))
    if (image.kind === 'pulling') return undefined
    if (image.kind === 'failed') {
      const reason = image.failures <= 1 ? 'ErrImagePull' : 'ImagePullBackOff'
      this.#setWaiting(uid, [name], { reason, message: image.message })
      return image.retryIn > 0 ? image.retryIn : undefined
    }
    const podIp = sandboxes.address(pod, sandboxId, hostIp) ?? ''
    let id: string
    try {
      const hostsFile = await ensureHostsFile(store.directoryOf(uid), hostsFileText(pod, podIp))
      id = await engine.create(
        containerOptions({
          ...this.#place(pod),
          container,
          attempt,
          sandboxId,
          podIp,
          macAddress: sandboxes.macAddress(sandboxId),
          hostsFile,
        }),
      )
    } catch (error) {
      this.#setWaiting(uid, [name], { reason: 'CreateContainerError', message: explainError(error) })
      this.#report(uid, pod)
      throw error
    }
    images.forget(key)
    await this.#startContainer(uid, name, id)
    return undefined
  }

  async #startContainer(uid: string, name: string, id: string): Promise<void> {
    const { engine, inventory, store } = this.#options
    try {
      await engine.start(id)
      this.#clearWaiting(uid, name)
    } catch (error) {
      this.#setWaiting(uid, [name], { reason: 'RunContainerError', message: explainError(error) })
      const pod = store.get(uid)
      // A container that cannot be started is made anew next time: what was wrong may be in how it was made.
      await engine.remove(id)
      await inventory.refresh(id)
      if (pod !== undefined) this.#report(uid, pod)
      throw error
    }
    await inventory.refresh(id)
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
    const { store, events } = this.#options
    const view = this.#view(uid)
    const running = [...view.containers.values()].flat().filter(({ details }) => details.pid !== 0)
    if (running.length > 0) return await this.#stopContainers(uid, pod, running)
    for (const { details } of [...view.containers.values()].flat())
      await this.#removeContainer(view, details.id)
    for (const { details } of view.sandboxes) await this.#removeContainer(view, details.id)
    const known = this.#memory.get(uid)
    for (const name of known?.waiting.keys() ?? []) this.#clearWaiting(uid, name)
    this.#crashes.forget([...view.containers.keys()].map(name => `${uid}/${name}`))
    if (pod === undefined) {
      this.#memory.delete(uid)
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
    const { engine, inventory } = this.#options
    const memory = this.#remember(uid)
    const now = performance.now()
    if (memory.killAt === undefined) {
      const labelled = Number(running[0]?.details.labels[DOCKER_LABEL.gracePeriod])
      const seconds = pod === undefined ? (Number.isFinite(labelled) ? labelled : 0) : gracePeriodOf(pod)
      memory.killAt = now + seconds * 1000
      await Promise.all(running.map(({ details }) => engine.kill(details.id, 'SIGTERM')))
    } else if (pod?.metadata.deletionGracePeriodSeconds !== undefined) {
      // The grace period may be shortened while it passes, never lengthened.
      memory.killAt = Math.min(memory.killAt, now + pod.metadata.deletionGracePeriodSeconds * 1000)
    }
    if (now < memory.killAt) return { requeueAfter: memory.killAt - now }
    await Promise.all(running.map(({ details }) => engine.kill(details.id, 'SIGKILL')))
    await Promise.all(running.map(({ details }) => inventory.refresh(details.id)))
    return { requeueAfter: 100 }
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
    }
    if (changed) this.#options.events.onProblemsChanged()
  }

  #clearWaiting(uid: string, name: string): void {
    if (this.#memory.get(uid)?.waiting.delete(name)) this.#options.events.onProblemsChanged()
  }

  #report(uid: string, pod: Pod): void {
    const { sandboxes, hostIp, events } = this.#options
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
        startTime: memory.startTime,
        now: `${new Date().toISOString().slice(0, 19)}Z`,
      }),
    )
  }

  #place(pod: Pod): PodPlace {
    const { owner, pauseImage, hostIp, nodeName, balancerDirectory } = this.#options
    return { pod, owner, pauseImage, hostIp, nodeName, balancerDirectory }
  }
}
