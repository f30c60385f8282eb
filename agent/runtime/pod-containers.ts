/** Which of the host's containers belong to which pod: those that this agent made. */
import type { ContainerDetails, ContainerInventory } from '../docker/index.ts'
import { DOCKER_LABEL } from './docker-labels.ts'
import { type PodView, viewPod } from './pod-view.ts'

export interface PodContainersOptions {
  readonly inventory: ContainerInventory
  /** Says whose containers these are; the host's id. */
  readonly owner: string
  /** A container of a pod came, changed or went: then it is undefined. */
  readonly onChange: (uid: string, id: string, container: ContainerDetails | undefined) => void
}

export class PodContainers {
  readonly #options: PodContainersOptions
  /** Docker ids by pod. */
  readonly #ids = new Map<string, Set<string>>()

  constructor(options: PodContainersOptions) {
    this.#options = options
  }

  /** Begins with those that are there. */
  start(): void {
    const { inventory } = this.#options
    inventory.onChange((container, previous) => this.#changed(container, previous))
    for (const container of inventory.all()) this.#changed(container, undefined)
  }

  /** Pods of which there is something in Docker. */
  uids(): readonly string[] {
    return [...this.#ids.keys()]
  }

  has(uid: string): boolean {
    return this.#ids.has(uid)
  }

  view(uid: string): PodView {
    const ids = this.#ids.get(uid) ?? new Set<string>()
    return viewPod([...ids].flatMap(id => this.#options.inventory.get(id) ?? []))
  }

  #changed(container: ContainerDetails | undefined, previous: ContainerDetails | undefined): void {
    const details = container ?? previous
    const uid = details?.labels[DOCKER_LABEL.podUid]
    if (
      details === undefined ||
      uid === undefined ||
      details.labels[DOCKER_LABEL.owner] !== this.#options.owner
    )
      return
    const ids = this.#ids.get(uid) ?? new Set()
    if (container === undefined) ids.delete(details.id)
    else ids.add(details.id)
    if (ids.size === 0) this.#ids.delete(uid)
    else this.#ids.set(uid, ids)
    this.#options.onChange(uid, details.id, container)
  }
}
