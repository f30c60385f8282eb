/** Ends pods: asks their containers, waits, insists, and removes what is left in Docker. */
import type { Pod } from '../../protocol/kubernetes/index.ts'
import type { ContainerInventory, DockerEngine } from '../docker/index.ts'
import type { ContainerLife } from './container-life.ts'
import { gracePeriodOf } from './container-options.ts'
import { DOCKER_LABEL } from './docker-labels.ts'
import type { ContainerView, PodView } from './pod-view.ts'
import type { Sandboxes } from './sandboxes.ts'

export interface PodEnderOptions {
  readonly engine: DockerEngine
  readonly inventory: ContainerInventory
  readonly sandboxes: Sandboxes
  readonly life: ContainerLife
}

export class PodEnder {
  readonly #options: PodEnderOptions
  /** Monotonic milliseconds at which what still runs of a pod is killed, once its end has begun. */
  readonly #killAt = new Map<string, number>()

  constructor(options: PodEnderOptions) {
    this.#options = options
  }

  /**
   * Brings the end of a pod one step closer.
   *
   * @param pod undefined when nothing but containers is known of it
   * @returns milliseconds until it is worth another look; undefined when Docker has nothing of it any more
   */
  async end(uid: string, pod: Pod | undefined, view: PodView): Promise<number | undefined> {
    const { life } = this.#options
    const all = [...view.containers.values()].flat()
    const running = all.filter(({ details }) => details.pid !== 0)
    if (running.length > 0) return await this.#stop(uid, pod, running, graceOf(pod, running))
    for (const { details } of all) {
      life.hasEnded(details.id)
      await this.remove(view, details.id)
    }
    for (const { details } of view.sandboxes) await this.remove(view, details.id)
    life.forget(uid)
    this.#killAt.delete(uid)
    return undefined
  }

  /**
   * Ends a pod that is given up: its containers stay, for their logs; its network does not.
   *
   * @param seconds that its containers have
   * @returns milliseconds until it is worth another look; undefined when nothing of it runs any more
   */
  async giveUp(uid: string, pod: Pod, view: PodView, seconds: number): Promise<number | undefined> {
    const all = [...view.containers.values()].flat()
    const running = all.filter(({ details }) => details.pid !== 0)
    if (running.length > 0) return await this.#stop(uid, pod, running, seconds)
    for (const { details } of all) this.#options.life.hasEnded(details.id)
    for (const { details } of view.sandboxes) await this.remove(view, details.id)
    this.#options.life.forget(uid)
    this.#killAt.delete(uid)
    return undefined
  }

  /** Removes a container or a sandbox of a pod from Docker. */
  async remove(view: PodView, id: string): Promise<void> {
    const { sandboxes, engine, inventory } = this.#options
    if (view.sandboxes.some(({ details }) => details.id === id)) {
      await sandboxes.remove(id)
      return
    }
    await engine.remove(id)
    await inventory.refresh(id)
  }

  async #stop(
    uid: string,
    pod: Pod | undefined,
    running: readonly ContainerView[],
    seconds: number,
  ): Promise<number> {
    const now = performance.now()
    const end = now + seconds * 1000
    const before = this.#killAt.get(uid)
    // The grace period may be shortened while it passes, never lengthened.
    const killAt = before === undefined ? end : Math.min(before, end)
    this.#killAt.set(uid, killAt)
    return await this.#options.life.endAll(pod, running, Math.max(0, killAt - now))
  }
}

/** Seconds that the containers of a pod have for their end. */
function graceOf(pod: Pod | undefined, [run]: readonly ContainerView[]): number {
  if (pod !== undefined) return gracePeriodOf(pod)
  const labelled = Number(run?.details.labels[DOCKER_LABEL.gracePeriod])
  return Number.isFinite(labelled) ? labelled : 0
}
