/** What workloads do with their pods: see them, make them, remove them, and tell of it by events. */
import {
  type ClusterClient,
  type Draft,
  type EventRecorder,
  type Frozen,
  type KubernetesObject,
  PODS,
  type Pod,
  StatusError,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import { nameOf, type ObjectLoop } from './object-loop.ts'
import type { OwnedPod, OwnedPods } from './owned-pods.ts'

/** Longest text of an event. */
const LONGEST_TEXT = 1000

/** What events say. */
export interface PodTexts {
  made(pod: string): string
  refused(reason: string): string
  removed(pod: string): string
}

const POD_TEXTS: PodTexts = {
  made: pod => `Created pod: ${pod}`,
  refused: reason => `Error creating: ${reason}`,
  removed: pod => `Deleted pod: ${pod}`,
}

/**
 * Asks for a look at a workload whenever one of its pods changes.
 *
 * @param also told of every pod, whosever it is
 */
export async function observePods(
  loop: ObjectLoop,
  pods: OwnedPods,
  also: (pod: Frozen<Pod>) => void,
): Promise<void> {
  await loop.observe(PODS, {
    seen: (pod, previous) => {
      for (const owner of pods.put(pod, previous)) loop.kick(owner)
      also(pod)
    },
    removed: pod => {
      for (const owner of pods.remove(pod)) loop.kick(owner)
    },
  })
}

export interface PodChangesOptions {
  readonly client: ClusterClient
  readonly events: EventRecorder
  readonly pods: OwnedPods
}

export class PodChanges {
  readonly #options: PodChangesOptions

  constructor(options: PodChangesOptions) {
    this.#options = options
  }

  /**
   * Makes a pod.
   *
   * @param draft may make first what the pod needs
   * @throws what refuses it, after the workload's events have told so
   */
  async create(
    owner: Frozen<KubernetesObject>,
    draft: () => Draft<Pod> | Promise<Draft<Pod>>,
    texts: PodTexts = POD_TEXTS,
  ): Promise<void> {
    const { client, events, pods } = this.#options
    try {
      const pod = await client.create(PODS, await draft())
      // The next look must know it, even before it is observed.
      pods.put(pod)
      events.record(owner, {
        type: 'Normal',
        reason: 'SuccessfulCreate',
        message: texts.made(pod.metadata.name),
      })
    } catch (error) {
      if (error instanceof StatusError) {
        const message = texts.refused(error.message).slice(0, LONGEST_TEXT)
        events.record(owner, { type: 'Warning', reason: 'FailedCreate', message })
      }
      throw error
    }
  }

  /** Removes a pod; one that is gone is what was wanted. */
  async remove(owner: Frozen<KubernetesObject>, pod: OwnedPod, texts: PodTexts = POD_TEXTS): Promise<void> {
    const { client, events, pods } = this.#options
    await unlessAbsent(async () => {
      await client.delete(PODS, pod, { preconditions: { uid: pod.uid } })
      events.record(owner, { type: 'Normal', reason: 'SuccessfulDelete', message: texts.removed(pod.name) })
    })
    pods.markDeleting(pod, nameOf(owner))
  }
}
