/** The pods of owners, by the owner's uid: what controllers of workloads need of them, and no more. */
import type { Frozen, OwnerReference, Pod } from '../apiserver/index.ts'

export interface OwnedPod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly labels: Readonly<Record<string, string>>
  readonly phase: string
  readonly nodeName: string
  /** Milliseconds since 1970. */
  readonly created: number
  readonly deleting: boolean
  /** Since when it is ready, in milliseconds since 1970; undefined when it is not. */
  readonly readySince: number | undefined
  readonly restarts: number
  /** Uid of the controller that has it; empty for an orphan. */
  readonly owner: string
  readonly finalizers: readonly string[]
  /** It is being deleted, and only finalizers keep it. */
  readonly ended: boolean
  /** Which of an indexed job's tasks it does; undefined for others. */
  readonly index: number | undefined
}

export const INDEX_ANNOTATION = 'batch.kubernetes.io/job-completion-index'

export function controllerOf(
  owners: readonly Frozen<OwnerReference>[] | undefined,
): Frozen<OwnerReference> | undefined {
  return owners?.find(({ controller }) => controller === true)
}

function reduced({ metadata, spec, status }: Frozen<Pod>): OwnedPod {
  const ready = status.conditions?.find(({ type }) => type === 'Ready')
  const index = metadata.annotations?.[INDEX_ANNOTATION]
  const since = Date.parse(ready?.lastTransitionTime ?? '')
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    uid: metadata.uid ?? '',
    labels: metadata.labels ?? {},
    phase: status.phase ?? '',
    nodeName: spec.nodeName ?? '',
    created: Date.parse(metadata.creationTimestamp ?? ''),
    deleting: metadata.deletionTimestamp !== undefined,
    readySince: ready?.status === 'True' ? (Number.isNaN(since) ? 0 : since) : undefined,
    restarts: (status.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0),
    owner: controllerOf(metadata.ownerReferences)?.uid ?? '',
    finalizers: metadata.finalizers ?? [],
    ended: metadata.deletionTimestamp !== undefined && (metadata.deletionGracePeriodSeconds ?? 0) === 0,
    index: index === undefined ? undefined : Number(index),
  }
}

/** Whether a pod counts: it runs, or will. */
export function isActive({ phase, deleting }: OwnedPod): boolean {
  return !deleting && phase !== 'Succeeded' && phase !== 'Failed'
}

export class OwnedPods {
  readonly #byOwner = new Map<string, Map<string, OwnedPod>>()
  /** Pods without a controller, by namespace. */
  readonly #orphans = new Map<string, Map<string, OwnedPod>>()

  #place(pod: OwnedPod): Map<string, Map<string, OwnedPod>> {
    return pod.owner === '' ? this.#orphans : this.#byOwner
  }

  #remove(pod: OwnedPod): void {
    const place = this.#place(pod)
    const key = pod.owner === '' ? pod.namespace : pod.owner
    const pods = place.get(key)
    pods?.delete(pod.uid)
    if (pods?.size === 0) place.delete(key)
  }

  /**
   * Takes a version of a pod.
   *
   * @returns uids of the owners that are concerned; an empty one for an orphan
   */
  put(pod: Frozen<Pod>, previous: Frozen<Pod> | undefined): readonly string[] {
    const before = previous === undefined ? undefined : reduced(previous)
    const after = reduced(pod)
    if (before !== undefined && before.owner !== after.owner) this.#remove(before)
    const place = this.#place(after)
    const key = after.owner === '' ? after.namespace : after.owner
    place.set(key, (place.get(key) ?? new Map()).set(after.uid, after))
    return before === undefined || before.owner === after.owner ? [after.owner] : [before.owner, after.owner]
  }

  remove(pod: Frozen<Pod>): string {
    const gone = reduced(pod)
    this.#remove(gone)
    return gone.owner
  }

  /** Notes a deletion that was accepted before anybody is told. */
  markDeleting(pod: OwnedPod): void {
    const pods = this.#byOwner.get(pod.owner)
    const present = pods?.get(pod.uid)
    if (present !== undefined) pods?.set(pod.uid, { ...present, deleting: true })
  }

  of(owner: string): readonly OwnedPod[] {
    return [...(this.#byOwner.get(owner)?.values() ?? [])]
  }

  orphans(namespace: string): readonly OwnedPod[] {
    return [...(this.#orphans.get(namespace)?.values() ?? [])]
  }
}
