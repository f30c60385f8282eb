/** Carries out what was decided about a container of a pod: makes it, starts it, ends it, and says why it waits. */
import { explainError } from '../../kit/index.ts'
import type { Pod } from '../../protocol/kubernetes/index.ts'
import type { ContainerInventory, DockerEngine } from '../docker/index.ts'
import { allContainers, type ContainerLife } from './container-life.ts'
import type { ContainerMaker, Made } from './container-maker.ts'
import type { Happening } from './pod-events.ts'
import type { ContainerDecision } from './pod-plan.ts'
import type { PodResizes } from './pod-resizes.ts'
import type { PodView } from './pod-view.ts'
import type { WaitingReasons } from './waiting-reasons.ts'

export interface ContainerStarterOptions {
  readonly engine: DockerEngine
  readonly inventory: ContainerInventory
  readonly maker: ContainerMaker
  readonly life: ContainerLife
  readonly waiting: WaitingReasons
  readonly resizes: PodResizes
  readonly viewOf: (uid: string) => PodView
  /** What was waited for is there. */
  readonly onChange: (uid: string) => void
  readonly tell: (uid: string, happening: Happening) => void
}

type ContainerStart = Extract<ContainerDecision, { kind: 'start' }>

export class ContainerStarter {
  readonly #options: ContainerStarterOptions

  constructor(options: ContainerStarterOptions) {
    this.#options = options
  }

  /** @returns milliseconds until it is worth another look, undefined when nothing is to be waited for */
  async carryOut(
    uid: string,
    pod: Pod,
    name: string,
    decision: ContainerDecision,
    sandboxId: string,
  ): Promise<number | undefined> {
    const { waiting, life, resizes } = this.#options
    switch (decision.kind) {
      case 'keep':
      case 'done':
      case 'hold':
        waiting.clear(uid, name)
        return undefined
      case 'wait':
        waiting.set(uid, [name], {
          reason: 'CrashLoopBackOff',
          message: `started again in ${Math.ceil(decision.milliseconds / 1000)} s: it keeps ending soon after its start`,
        })
        return decision.milliseconds
      case 'blocked':
        waiting.set(uid, [name], { reason: 'CreateContainerConfigError', message: decision.message })
        return undefined
      case 'start-made':
        await this.#start(uid, pod, name, decision.id, sandboxId)
        return undefined
      case 'resize':
        waiting.clear(uid, name)
        return await resizes.resize(uid, pod, decision.view)
      case 'stop':
        return await life.endOne(pod, decision.view)
      case 'start': {
        const made = await this.#make(uid, pod, name, decision, sandboxId)
        if (made?.kind !== 'made') return made?.retryIn
        await this.#start(uid, pod, name, made.dockerId, sandboxId)
        return undefined
      }
    }
  }

  async #make(
    uid: string,
    pod: Pod,
    name: string,
    start: ContainerStart,
    sandboxId: string,
  ): Promise<Made | undefined> {
    const { maker, waiting, onChange, resizes, viewOf } = this.#options
    const wanted = allContainers(pod).find(candidate => candidate.name === name)
    if (wanted === undefined) return undefined
    const resources = resizes.resourcesFor(pod, wanted, viewOf(uid))
    const container = resources === undefined ? wanted : { ...wanted, resources }
    try {
      const made = await maker.make(pod, container, { ...start, sandboxId }, () => onChange(uid))
      if (made.kind === 'waiting' && made.reason !== undefined) waiting.set(uid, [name], made.reason)
      return made
    } catch (error) {
      waiting.set(uid, [name], { reason: 'CreateContainerError', message: explainError(error) })
      throw error
    }
  }

  async #start(uid: string, pod: Pod, name: string, id: string, sandboxId: string): Promise<void> {
    const { engine, inventory, life, waiting, tell } = this.#options
    const container = allContainers(pod).find(candidate => candidate.name === name)
    if (container !== undefined) life.starts(container, id)
    const happened = (reason: string, message: string) =>
      tell(uid, { type: 'Normal', reason, message, container: name })
    try {
      happened('Created', `Created container: ${name}`)
      await engine.start(id)
      happened('Started', `Started container ${name}`)
      waiting.clear(uid, name)
    } catch (error) {
      life.hasEnded(id)
      waiting.set(uid, [name], { reason: 'RunContainerError', message: explainError(error) })
      // A container that cannot be started is made anew next time: what was wrong may be in how it was made.
      await engine.remove(id)
      await inventory.refresh(id)
      throw error
    }
    if (container !== undefined) life.hasStarted(uid, pod, container, id, sandboxId)
    await inventory.refresh(id)
  }
}
