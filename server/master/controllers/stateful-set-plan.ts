/**
 * What becomes of the pods of a stateful set (Kubernetes "StatefulSets"). Pods have numbers; `OrderedReady` makes them
 * from the lowest on, each after all before it are available, and removes them from the highest on. Pure.
 */
import type { Frozen, StatefulSet } from '../apiserver/index.ts'
import { countOf, positive } from './counts.ts'
import type { OwnedPod } from './owned-pods.ts'
import { untilAvailable } from './replica-set-plan.ts'
import { REVISION_LABEL } from './revision-history.ts'

export interface StatefulSetPlan {
  /** Numbers, and whether the pod is of the newest template. */
  readonly create: readonly { readonly ordinal: number; readonly updated: boolean }[]
  readonly remove: readonly OwnedPod[]
  readonly status: NonNullable<StatefulSet['status']>
  /** Milliseconds until a ready pod counts as available; undefined when none waits for that. */
  readonly nextAvailable: number | undefined
}

/** Names of the two revisions that a rolling update goes between. */
export interface RevisionPair {
  readonly current: string
  readonly update: string
}

/** The number of a set's pod; undefined for a name that is none of its. */
export function ordinalOf(set: string, pod: string): number | undefined {
  if (!pod.startsWith(`${set}-`)) return undefined
  const digits = pod.slice(set.length + 1)
  return /^(0|[1-9]\d{0,8})$/.test(digits) ? Number(digits) : undefined
}

class Planner {
  readonly #set: Frozen<StatefulSet>
  readonly #pods: ReadonlyMap<number, OwnedPod>
  readonly #revisions: RevisionPair
  readonly #now: number
  readonly #start: number
  readonly #end: number
  readonly create: { ordinal: number; updated: boolean }[] = []
  readonly remove: OwnedPod[] = []

  constructor(set: Frozen<StatefulSet>, pods: readonly OwnedPod[], revisions: RevisionPair, now: number) {
    this.#set = set
    this.#revisions = revisions
    this.#now = now
    this.#start = set.spec.ordinals?.start ?? 0
    this.#end = this.#start + (set.spec.replicas ?? 1)
    this.#pods = new Map(
      pods.flatMap(pod => {
        const ordinal = ordinalOf(set.metadata.name, pod.name)
        return ordinal === undefined ? [] : [[ordinal, pod] as const]
      }),
    )
  }

  get #ordered(): boolean {
    return this.#set.spec.podManagementPolicy !== 'Parallel'
  }

  #isAvailable(pod: OwnedPod): boolean {
    const { minReadySeconds = 0 } = this.#set.spec
    return !pod.deleting && untilAvailable(pod, minReadySeconds, this.#now) === 0
  }

  /** Whether a pod with this number is to be of the newest template. */
  #isUpdated(ordinal: number): boolean {
    const { type, rollingUpdate } = this.#set.spec.updateStrategy ?? {}
    return type === 'OnDelete' || ordinal >= this.#start + (rollingUpdate?.partition ?? 0)
  }

  /** @returns false when the rest has to wait */
  fill(): boolean {
    for (let ordinal = this.#start; ordinal < this.#end; ordinal += 1) {
      const pod = this.#pods.get(ordinal)
      if (pod === undefined) {
        this.create.push({ ordinal, updated: this.#isUpdated(ordinal) })
        if (this.#ordered) return false
      } else if (!pod.deleting && (pod.phase === 'Failed' || pod.phase === 'Succeeded')) {
        // It is made again when it is gone.
        this.remove.push(pod)
        if (this.#ordered) return false
      } else if (this.#ordered && !this.#isAvailable(pod)) return false
    }
    return true
  }

  /** @returns false when the rest has to wait */
  shrink(): boolean {
    const condemned = [...this.#pods]
      .filter(([ordinal]) => ordinal < this.#start || ordinal >= this.#end)
      .toSorted(([a], [b]) => b - a)
    for (const [, pod] of condemned) {
      if (pod.deleting) {
        if (this.#ordered) return false
        continue
      }
      this.remove.push(pod)
      if (this.#ordered) return false
    }
    return condemned.length === 0
  }

  update(): void {
    const { updateStrategy, replicas = 1 } = this.#set.spec
    if (updateStrategy?.type === 'OnDelete') return
    const { partition = 0, maxUnavailable } = updateStrategy?.rollingUpdate ?? {}
    const most = maxUnavailable === undefined ? 1 : Math.max(1, countOf(maxUnavailable, replicas, 'up'))
    let unavailable = 0
    for (let ordinal = this.#end - 1; ordinal >= this.#start + partition; ordinal -= 1) {
      const pod = this.#pods.get(ordinal)
      const outdated = pod !== undefined && pod.labels[REVISION_LABEL] !== this.#revisions.update
      if (outdated && !pod.deleting) {
        this.remove.push(pod)
        unavailable += 1
      } else if (pod === undefined || !this.#isAvailable(pod)) unavailable += 1
      if (unavailable >= most) return
    }
  }

  status(): StatefulSetPlan['status'] {
    const { current, update } = this.#revisions
    const all = [...this.#pods.values()]
    const live = all.filter(({ deleting }) => !deleting)
    const ofRevision = (name: string) => live.filter(({ labels }) => labels[REVISION_LABEL] === name).length
    const ready = live.filter(({ readySince }) => readySince !== undefined).length
    const updated = ofRevision(update)
    const rolls = this.#set.spec.updateStrategy?.type !== 'OnDelete'
    const done = rolls && updated === all.length && ready === all.length
    return {
      observedGeneration: this.#set.metadata.generation ?? 0,
      replicas: all.length,
      ...positive({
        readyReplicas: ready,
        currentReplicas: done ? updated : ofRevision(current),
        updatedReplicas: updated,
      }),
      availableReplicas: live.filter(pod => this.#isAvailable(pod)).length,
      currentRevision: done ? update : current,
      updateRevision: update,
      collisionCount: 0,
    }
  }

  nextAvailable(): number | undefined {
    const { minReadySeconds = 0 } = this.#set.spec
    const waits = [...this.#pods.values()].flatMap(
      pod => untilAvailable(pod, minReadySeconds, this.#now) || [],
    )
    return waits.length === 0 ? undefined : Math.min(...waits)
  }
}

export function planStatefulSet(
  set: Frozen<StatefulSet>,
  pods: readonly OwnedPod[],
  revisions: RevisionPair,
  now: number,
): StatefulSetPlan {
  const planner = new Planner(set, pods, revisions, now)
  if (planner.fill() && planner.shrink()) planner.update()
  return {
    create: planner.create,
    remove: planner.remove,
    status: planner.status(),
    nextAvailable: planner.nextAvailable(),
  }
}
