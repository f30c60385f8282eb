/**
 * Gives containers that run what their pod asks for now: in place where that is allowed, and when the host has room.
 *
 * What a container has been given is known from its label, from what was changed since, and, for another agent, from what Docker
 * has: when that is what the pod asks for, it has it.
 */
import { isDeepStrictEqual } from 'node:util'
import { explainError, type Logger } from '../../kit/index.ts'
import type { Container, Pod } from '../../protocol/kubernetes/index.ts'
import type { ContainerInventory, DockerEngine } from '../docker/index.ts'
import {
  type Demand,
  demandOf,
  dockerResources,
  lastingContainers,
  type NoRoom,
  needsRestart,
  type Resources,
  resourceOptions,
  roomFor,
  sameDockerResources,
} from './container-resources.ts'
import { DOCKER_LABEL } from './docker-labels.ts'
import type { Happening } from './pod-events.ts'
import type { ContainerView, PodView } from './pod-view.ts'

export interface PodResizesOptions {
  readonly engine: Pick<DockerEngine, 'updateResources'>
  readonly inventory: Pick<ContainerInventory, 'refresh'>
  /** Pods that have a share of the host. */
  readonly pods: () => readonly { readonly pod: Pod; readonly view: PodView }[]
  readonly host: Demand
  readonly tell: (uid: string, happening: Happening) => void
  readonly log: Logger
}

export type ResizeDecision = 'none' | 'in-place' | 'restart'

/** What the pod's status says of a resize that is not done. */
export interface ResizeState {
  readonly condition: 'PodResizePending' | 'PodResizeInProgress'
  readonly reason: string
  readonly message: string
}

/** Milliseconds until a resize is tried again that could not be done. */
const TRY_AGAIN = 10_000

function labelled({ details }: ContainerView): Resources | undefined {
  try {
    const value: unknown = JSON.parse(details.labels[DOCKER_LABEL.resources] ?? 'null')
    return typeof value === 'object' && value !== null ? (value as Resources) : undefined
  } catch {
    // Whoever made such a label: it says nothing.
    return undefined
  }
}

export class PodResizes {
  readonly #options: PodResizesOptions
  /** What containers have been given, by Docker's id. */
  readonly #given = new Map<string, Resources>()
  /** Of pods whose resize failed. */
  readonly #failures = new Map<string, string>()

  constructor(options: PodResizesOptions) {
    this.#options = options
  }

  /** What a run of a container has been given. */
  givenTo(container: Container, run: ContainerView): Resources {
    const known = this.#given.get(run.details.id)
    if (known !== undefined) return known
    const wanted = container.resources ?? {}
    const has = sameDockerResources(run.details.resources, dockerResources(wanted))
    const given = has ? wanted : (labelled(run) ?? wanted)
    this.#given.set(run.details.id, given)
    return given
  }

  /** What is to be done with a container that runs. */
  decide(pod: Pod, run: ContainerView, view: PodView): ResizeDecision {
    const container = lastingContainers(pod).find(({ name }) => name === run.name)
    if (container === undefined) return 'none'
    const wanted = container.resources ?? {}
    const given = this.givenTo(container, run)
    if (isDeepStrictEqual(given, wanted) || this.#noRoom(pod, view) !== undefined) return 'none'
    // One that ends by its pod's policy for good would not come back.
    const comesBack = (pod.spec.restartPolicy ?? 'Always') === 'Always'
    return comesBack && needsRestart(container, given, wanted) ? 'restart' : 'in-place'
  }

  /** What a container that is made is given: what its last run had, as long as there is no room for what is wanted. */
  resourcesFor(pod: Pod, container: Container, view: PodView): Resources | undefined {
    const before = view.containers.get(container.name)?.[0]
    return before === undefined || this.#noRoom(pod, view) === undefined
      ? container.resources
      : this.givenTo(container, before)
  }

  /** Gives a container what it is to have. @returns milliseconds until it is tried again, undefined when it is done */
  async resize(uid: string, pod: Pod, run: ContainerView): Promise<number | undefined> {
    const { engine, inventory, tell, log } = this.#options
    const container = lastingContainers(pod).find(({ name }) => name === run.name)
    if (container === undefined) return undefined
    const wanted = container.resources ?? {}
    try {
      await engine.updateResources(run.details.id, resourceOptions(wanted))
    } catch (error) {
      this.#failures.set(uid, explainError(error))
      log.warn({ pod: pod.metadata.name, reason: explainError(error) }, 'a container was not resized')
      return TRY_AGAIN
    }
    this.#given.set(run.details.id, wanted)
    this.#failures.delete(uid)
    await inventory.refresh(run.details.id)
    const message = `Container ${run.name} was given ${JSON.stringify(wanted)}`
    tell(uid, { type: 'Normal', reason: 'ResizeCompleted', message, container: run.name })
    return undefined
  }

  /** What has not been done; undefined when the pod has what it asks for. */
  state(uid: string, pod: Pod, view: PodView): ResizeState | undefined {
    const waits = lastingContainers(pod).some(container => {
      const run = view.containers.get(container.name)?.[0]
      if (run?.details.status !== 'running') return false
      return !isDeepStrictEqual(this.givenTo(container, run), container.resources ?? {})
    })
    if (!waits) return undefined
    const noRoom = this.#noRoom(pod, view)
    if (noRoom !== undefined) return { condition: 'PodResizePending', ...noRoom }
    const failure = this.#failures.get(uid)
    return {
      condition: 'PodResizeInProgress',
      reason: failure === undefined ? '' : 'Error',
      message: failure ?? '',
    }
  }

  /** A container that is gone. */
  forgetContainer(dockerId: string): void {
    this.#given.delete(dockerId)
  }

  forget(uid: string): void {
    this.#failures.delete(uid)
  }

  #noRoom(pod: Pod, view: PodView): NoRoom | undefined {
    const { pods, host } = this.#options
    const wanted = demandOf(lastingContainers(pod).map(({ resources }) => resources))
    const had = this.#demand(pod, view)
    // Less is always possible.
    if (wanted.milliCpu <= had.milliCpu && wanted.memory <= had.memory) return undefined
    const others = pods().filter(other => other.pod.metadata.uid !== pod.metadata.uid)
    return roomFor(
      wanted,
      others.map(other => this.#demand(other.pod, other.view)),
      host,
    )
  }

  #demand(pod: Pod, view: PodView): Demand {
    return demandOf(
      lastingContainers(pod).map(container => {
        const run = view.containers.get(container.name)?.[0]
        return run === undefined ? container.resources : this.givenTo(container, run)
      }),
    )
  }
}
