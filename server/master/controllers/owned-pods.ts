/** The pods of owners of one kind: what their controller needs of them, and no more. Pods of others are not kept. */
import type { Frozen, ObjectName, OwnerReference, Pod } from '../apiserver/index.ts'

export interface OwnedPod extends ObjectName {
  readonly uid: string
  readonly labels: Readonly<Record<string, string>>
  readonly phase: string
  readonly nodeName: string
  /** The node that it is on, or the only one that it may go to; empty for others. */
  readonly destination: string
  /** Milliseconds since 1970. */
  readonly created: number
  readonly deleting: boolean
  /** It is being deleted, and only finalizers keep it. */
  readonly ended: boolean
  /** Since when it is ready, in milliseconds since 1970; undefined when it is not. */
  readonly readySince: number | undefined
  readonly restarts: number
  readonly finalizers: readonly string[]
  /** Which of an indexed job's tasks it does; undefined for others. */
  readonly index: number | undefined
  /** Of a pod that failed: how its containers ended, and what is said about it. */
  readonly exits: readonly { readonly container: string; readonly code: number }[]
  readonly conditions: readonly { readonly type: string; readonly status: string }[]
  /** How often the task had failed before this pod; 0 for others. */
  readonly earlierFailures: number
  /** Uid of the controller that has it. */
  readonly owner: string
}

export const INDEX_ANNOTATION = 'batch.kubernetes.io/job-completion-index'
/** On pods of jobs that count failures by task. */
export const INDEX_FAILURES_ANNOTATION = 'batch.kubernetes.io/job-index-failure-count'

export function controllerOf(
  owners: readonly Frozen<OwnerReference>[] | undefined,
): Frozen<OwnerReference> | undefined {
  return owners?.find(({ controller }) => controller === true)
}

/** The node whose name a pod demands: daemons are made for one. */
function onlyNode({ affinity }: Frozen<Pod>['spec']): string {
  const terms = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms
  const field = terms?.[0]?.matchFields?.find(({ key }) => key === 'metadata.name')
  return field?.operator === 'In' ? (field.values?.[0] ?? '') : ''
}

function endOf(
  { deletionTimestamp }: Frozen<Pod>['metadata'],
  { phase, containerStatuses = [], initContainerStatuses = [], conditions = [] }: Frozen<Pod>['status'],
): Pick<OwnedPod, 'exits' | 'conditions'> {
  // Nobody asks about others, and there are very many of them.
  if (phase !== 'Failed' && deletionTimestamp === undefined) return { exits: [], conditions: [] }
  return {
    exits: [...initContainerStatuses, ...containerStatuses].flatMap(({ name, state }) =>
      state?.terminated === undefined ? [] : [{ container: name, code: state.terminated.exitCode ?? 0 }],
    ),
    conditions: conditions.map(({ type, status }) => ({ type, status })),
  }
}

function reduced({ metadata, spec, status }: Frozen<Pod>, owner: string): OwnedPod {
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
    destination: (spec.nodeName ?? '') === '' ? onlyNode(spec) : (spec.nodeName ?? ''),
    created: Date.parse(metadata.creationTimestamp ?? ''),
    deleting: metadata.deletionTimestamp !== undefined,
    ended: metadata.deletionTimestamp !== undefined && (metadata.deletionGracePeriodSeconds ?? 0) === 0,
    readySince: ready?.status === 'True' ? (Number.isNaN(since) ? 0 : since) : undefined,
    restarts: (status.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0),
    finalizers: metadata.finalizers ?? [],
    index: index === undefined ? undefined : Number(index),
    ...endOf(metadata, status),
    earlierFailures: Number(metadata.annotations?.[INDEX_FAILURES_ANNOTATION] ?? 0) || 0,
    owner,
  }
}

/** Whether a pod counts: it runs, or will. */
export function isActive({ phase, deleting }: OwnedPod): boolean {
  return !deleting && phase !== 'Succeeded' && phase !== 'Failed'
}

export class OwnedPods {
  readonly #kind: string
  /** By namespace and name of their owner, then by uid. */
  readonly #byOwner = new Map<string, Map<string, OwnedPod>>()

  /** @param kind of the owners */
  constructor(kind: string) {
    this.#kind = kind
  }

  #ownerOf({ metadata }: Frozen<Pod>): Frozen<OwnerReference> | undefined {
    const owner = controllerOf(metadata.ownerReferences)
    return owner?.kind === this.#kind ? owner : undefined
  }

  /**
   * Takes a version of a pod.
   *
   * @returns the owners that are concerned: the one it has, and another that it had
   */
  put(pod: Frozen<Pod>, previous?: Frozen<Pod>): readonly ObjectName[] {
    const owner = this.#ownerOf(pod)
    const left = previous !== undefined && this.#ownerOf(previous)?.uid !== owner?.uid
    const before = left ? this.remove(previous) : []
    if (owner === undefined) return before
    const target = { namespace: pod.metadata.namespace ?? '', name: owner.name }
    const key = keyOf(target)
    const pods = this.#byOwner.get(key) ?? new Map<string, OwnedPod>()
    this.#byOwner.set(key, pods.set(pod.metadata.uid ?? '', reduced(pod, owner.uid)))
    return [...before, target]
  }

  /** @returns the owner that is concerned, if it has one */
  remove(pod: Frozen<Pod>): readonly ObjectName[] {
    const owner = this.#ownerOf(pod)
    if (owner === undefined) return []
    const target = { namespace: pod.metadata.namespace ?? '', name: owner.name }
    const pods = this.#byOwner.get(keyOf(target))
    pods?.delete(pod.metadata.uid ?? '')
    if (pods?.size === 0) this.#byOwner.delete(keyOf(target))
    return [target]
  }

  /** Notes a deletion that was accepted before anybody is told. */
  markDeleting(pod: OwnedPod, owner: ObjectName): void {
    const pods = this.#byOwner.get(keyOf(owner))
    const present = pods?.get(pod.uid)
    if (present !== undefined) pods?.set(pod.uid, { ...present, deleting: true })
  }

  /** Pods of whatever has, or had, this name: `owner` of each says whose it is. */
  of(owner: ObjectName): readonly OwnedPod[] {
    return [...(this.#byOwner.get(keyOf(owner))?.values() ?? [])]
  }
}

function keyOf({ namespace, name }: ObjectName): string {
  return `${namespace}/${name}`
}
