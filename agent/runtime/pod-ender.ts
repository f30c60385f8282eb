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
    if (running.length > 0) return await life.endAll(pod, running, this.#timeLeft(uid, pod, running))
    for (const { details } of all) {
      life.hasEnded(details.id)
      await this.remove(view, details.id)
    }
    for (const { details } of view.sandboxes) await this.remove(view, details.id)
    life.forget(uid)
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

  /** @returns milliseconds */
  #timeLeft(uid: string, pod: Pod | undefined, running: readonly ContainerView[]): number {
    const now = performance.now()
    let killAt = this.#killAt.get(uid)
    if (killAt === undefined) {
      const labelled = Number(running[0]?.details.labels[DOCKER_LABEL.gracePeriod])
      const seconds = pod === undefined ? (Number.isFinite(labelled) ? labelled : 0) : gracePeriodOf(pod)
      killAt = now + seconds * 1000
    } else if (pod?.metadata.deletionGracePeriodSeconds !== undefined) {
      // The grace period may be shortened while it passes, never lengthened.
      killAt = Math.min(killAt, now + pod.metadata.deletionGracePeriodSeconds * 1000)
    }
    this.#killAt.set(uid, killAt)
    return Math.max(0, killAt - now)
  }
}
