/** What becomes of the pods of a replica set. Pure. */
import { type Condition, type Frozen, formatTime, type ReplicaSet, StatusError } from '../apiserver/index.ts'
import { isActive, type OwnedPod } from './owned-pods.ts'

/** Pods made or removed in one step. */
const BURST = 500

export interface ReplicaSetPlan {
  readonly create: number
  readonly remove: readonly OwnedPod[]
  readonly status: NonNullable<ReplicaSet['status']>
  /** Milliseconds until a ready pod counts as available; undefined when none waits for that. */
  readonly nextAvailable: number | undefined
}

/** Milliseconds until a pod is available; 0 when it is, undefined when it is not ready. */
export function untilAvailable(
  { readySince }: OwnedPod,
  minReadySeconds: number,
  now: number,
): number | undefined {
  if (readySince === undefined) return undefined
  return Math.max(0, readySince + minReadySeconds * 1000 - now)
}

/** What is wrong with a set, in its status and its deployment's. */
export const REPLICA_FAILURE = 'ReplicaFailure'

/**
 * Conditions after an attempt to have as many pods as are wanted.
 *
 * @param failure what prevented it; undefined when nothing did
 */
export function conditionsAfter(
  before: readonly Frozen<Condition>[],
  failure: unknown,
  now: number,
): readonly Frozen<Condition>[] {
  const others = before.filter(({ type }) => type !== REPLICA_FAILURE)
  if (!(failure instanceof StatusError)) return others
  const known = before.find(({ type }) => type === REPLICA_FAILURE)
  if (known !== undefined) return before
  const { message } = failure
  const lastTransitionTime = formatTime(now)
  return [
    ...others,
    { type: REPLICA_FAILURE, status: 'True', reason: 'FailedCreate', message, lastTransitionTime },
  ]
}

/** Pods that are missed least come first: without a node, pending, not ready, restarted, young. */
function compareForRemoval(a: OwnedPod, b: OwnedPod): number {
  return (
    Number(a.nodeName !== '') - Number(b.nodeName !== '') ||
    Number(a.phase === 'Running') - Number(b.phase === 'Running') ||
    Number(a.readySince !== undefined) - Number(b.readySince !== undefined) ||
    b.restarts - a.restarts ||
    b.created - a.created
  )
}

export function planReplicaSet(
  { spec, metadata }: Frozen<ReplicaSet>,
  pods: readonly OwnedPod[],
  now: number,
): ReplicaSetPlan {
  const active = pods.filter(isActive)
  const wanted = spec.replicas ?? 0
  const minReady = spec.minReadySeconds ?? 0
  const waits = active.flatMap(pod => untilAvailable(pod, minReady, now) ?? [])
  const labels = Object.entries(spec.template.metadata?.labels ?? {})
  const labelled = active.filter(pod => labels.every(([key, value]) => pod.labels[key] === value))
  const pending = waits.filter(wait => wait > 0)
  const surplus = Math.min(BURST, active.length - wanted)
  const counts = {
    readyReplicas: waits.length,
    availableReplicas: waits.length - pending.length,
    fullyLabeledReplicas: labelled.length,
  }
  return {
    create: Math.min(BURST, Math.max(0, wanted - active.length)),
    // Most looks find nothing to remove, and sets may be large.
    remove: surplus > 0 ? active.toSorted(compareForRemoval).slice(0, surplus) : [],
    status: {
      replicas: active.length,
      observedGeneration: metadata.generation ?? 0,
      // Zero is said by silence, as everywhere in Kubernetes.
      ...Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0)),
    },
    nextAvailable: pending.length === 0 ? undefined : Math.min(...pending),
  }
}
