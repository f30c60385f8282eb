/** Keeps the volumes of running pods as what they are made of: at once when that changes, and from time to time anyway. */
import { explainError, type Logger } from '../../kit/index.ts'
import type { Pod } from '../../protocol/kubernetes/index.ts'
import { PodVolumes } from './pod-volumes.ts'

export interface VolumeRefresherOptions {
  /** Writes the volumes of a pod in that sandbox anew. */
  readonly refresh: (pod: Pod, sandboxId: string) => Promise<void>
  readonly log: Logger
}

interface Memory {
  /** Monotonic milliseconds at which the volumes are looked at again. */
  at: number
  /** Labels and annotations that files may hold. */
  metadata: string
}

/**
 * Milliseconds between two looks without a reason: tokens are to be renewed, and not everything is followed. Up to half of it
 * more, so that pods do not come all at once.
 */
const INTERVAL = 40_000

export class VolumeRefresher {
  readonly #options: VolumeRefresherOptions
  readonly #memory = new Map<string, Memory>()

  constructor(options: VolumeRefresherOptions) {
    this.#options = options
  }

  /** What the volumes of a pod are made of has changed. */
  changed(uid: string): void {
    const memory = this.#memory.get(uid)
    if (memory !== undefined) memory.at = 0
  }

  /**
   * Looks at a running pod.
   *
   * @returns milliseconds until it is worth another look; undefined when nothing can change
   */
  async look(uid: string, pod: Pod, sandboxId: string): Promise<number | undefined> {
    if (PodVolumes.changing(pod).size === 0) return undefined
    const metadata = JSON.stringify([pod.metadata.labels, pod.metadata.annotations])
    const memory = this.#memory.get(uid) ?? { at: nextLook(), metadata }
    this.#memory.set(uid, memory)
    if (performance.now() >= memory.at || memory.metadata !== metadata) {
      // Before they are read: what changes meanwhile is a reason to look again.
      memory.at = nextLook()
      memory.metadata = metadata
      try {
        await this.#options.refresh(pod, sandboxId)
      } catch (error) {
        this.#options.log.warn(
          { pod: pod.metadata.name, reason: explainError(error) },
          'the volumes of a pod stay as they are',
        )
      }
    }
    return Math.max(1, memory.at - performance.now())
  }

  forget(uid: string): void {
    this.#memory.delete(uid)
  }
}

function nextLook(): number {
  return performance.now() + INTERVAL * (1 + Math.random() / 2)
}
