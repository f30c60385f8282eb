/** What becomes of the replica sets of a deployment (Kubernetes "Deployments", rolling updates). Pure. */
import type { Deployment, Frozen, ReplicaSet } from '../apiserver/index.ts'
import { countOf } from './counts.ts'
import { planShares } from './deployment-shares.ts'

type Sets = readonly Frozen<ReplicaSet>[]

/** How many pods may be too many and too few while a deployment rolls. */
export interface Margins {
  readonly surge: number
  readonly unavailable: number
}

export function marginsOf({ spec }: Frozen<Deployment>): Margins {
  const replicas = spec.replicas ?? 0
  if (spec.strategy?.type === 'Recreate') return { surge: 0, unavailable: replicas }
  const { maxSurge, maxUnavailable } = spec.strategy?.rollingUpdate ?? {}
  const surge = countOf(maxSurge, replicas, 'up')
  const unavailable = Math.min(replicas, countOf(maxUnavailable, replicas, 'down'))
  // Percentages of few pods may both be nothing, and nothing would ever move.
  return surge === 0 && unavailable === 0 ? { surge, unavailable: 1 } : { surge, unavailable }
}

function wantedBy(sets: Sets): number {
  return sets.reduce((sum, { spec }) => sum + (spec.replicas ?? 0), 0)
}

function sumOf(sets: Sets, field: 'replicas' | 'readyReplicas' | 'availableReplicas'): number {
  return sets.reduce((sum, { status }) => sum + (status?.[field] ?? 0), 0)
}

/** Replicas that sets shall have, by name; sets that stay as they are are not named. */
export type Scaling = ReadonlyMap<string, number>

function oldestFirst(sets: Sets): Sets {
  return sets.toSorted((a, b) =>
    (a.metadata.creationTimestamp ?? '') < (b.metadata.creationTimestamp ?? '') ? -1 : 1,
  )
}

/** Pods that are not available are no loss: they go first. */
function planOldSets(
  current: Frozen<ReplicaSet>,
  old: Sets,
  replicas: number,
  margins: Margins,
): Map<string, number> {
  const scaling = new Map<string, number>()
  const least = replicas - margins.unavailable
  const newUnavailable = (current.spec.replicas ?? 0) - (current.status?.availableReplicas ?? 0)
  let removable = wantedBy([current, ...old]) - least - newUnavailable
  const wants = new Map(old.map(({ metadata, spec }) => [metadata.name, spec.replicas ?? 0]))
  const take = (name: string, most: number) => {
    const part = Math.min(most, removable)
    if (part <= 0) return
    removable -= part
    const left = (wants.get(name) ?? 0) - part
    wants.set(name, left)
    scaling.set(name, left)
  }
  for (const { metadata, spec, status } of oldestFirst(old)) {
    take(metadata.name, (spec.replicas ?? 0) - (status?.availableReplicas ?? 0))
  }
  removable = Math.min(removable, sumOf([current, ...old], 'availableReplicas') - least)
  for (const { metadata } of oldestFirst(old)) take(metadata.name, wants.get(metadata.name) ?? 0)
  return scaling
}

/** One step of a rolling update. */
function planRolling(deployment: Frozen<Deployment>, current: Frozen<ReplicaSet>, old: Sets): Scaling {
  const replicas = deployment.spec.replicas ?? 0
  const margins = marginsOf(deployment)
  const own = current.spec.replicas ?? 0
  const { name } = current.metadata
  if (own > replicas) return new Map([[name, replicas]])
  const scaling = new Map<string, number>()
  if (own < replicas) {
    const room = replicas + margins.surge - wantedBy([current, ...old])
    if (room > 0) scaling.set(name, Math.min(replicas, own + room))
  }
  const grown = scaling.get(name)
  const after: Frozen<ReplicaSet> =
    grown === undefined ? current : { ...current, spec: { ...current.spec, replicas: grown } }
  for (const [each, count] of planOldSets(after, old, replicas, margins)) scaling.set(each, count)
  return scaling
}

/** One step of a replacement of everything at once. */
function planRecreate({ spec }: Frozen<Deployment>, current: Frozen<ReplicaSet>, old: Sets): Scaling {
  const busy = old.filter(set => (set.spec.replicas ?? 0) > 0)
  if (busy.length > 0) return new Map(busy.map(({ metadata }) => [metadata.name, 0]))
  const wanted = spec.replicas ?? 0
  // Old and new never run side by side.
  const waits = sumOf(old, 'replicas') > 0 || current.spec.replicas === wanted
  return waits ? new Map() : new Map([[current.metadata.name, wanted]])
}

/** A paused deployment does not roll, but can be scaled. */
export function planPaused({ spec }: Frozen<Deployment>, sets: Sets): Scaling {
  const active = sets.filter(set => (set.spec.replicas ?? 0) > 0)
  const target = active.length > 0 ? active : sets
  const newest = oldestFirst(target).at(-1)
  if (newest === undefined) return new Map()
  const others = wantedBy(active.filter(set => set !== newest))
  const wanted = Math.max(0, (spec.replicas ?? 0) - others)
  return newest.spec.replicas === wanted ? new Map() : new Map([[newest.metadata.name, wanted]])
}

/** What the sets shall have next. */
export function planScaling(deployment: Frozen<Deployment>, current: Frozen<ReplicaSet>, old: Sets): Scaling {
  if (deployment.spec.strategy?.type === 'Recreate') return planRecreate(deployment, current, old)
  const shares = planShares(deployment, marginsOf(deployment).surge, [current, ...old])
  return shares ?? planRolling(deployment, current, old)
}

/** Whether everything is as it should be. */
export function isComplete({ spec }: Frozen<Deployment>, current: Frozen<ReplicaSet>, old: Sets): boolean {
  const wanted = spec.replicas ?? 0
  const { replicas = 0, availableReplicas = 0, observedGeneration } = current.status ?? {}
  return (
    observedGeneration === current.metadata.generation &&
    replicas === wanted &&
    availableReplicas >= wanted &&
    sumOf(old, 'replicas') === 0 &&
    wantedBy(old) === 0
  )
}

export interface Counts {
  readonly observedGeneration: number
  readonly replicas?: number
  readonly updatedReplicas?: number
  readonly readyReplicas?: number
  readonly availableReplicas?: number
  readonly unavailableReplicas?: number
}

/** Counts that the status tells; zero is said by silence. */
export function countsOf(
  deployment: Frozen<Deployment>,
  current: Frozen<ReplicaSet> | undefined,
  sets: Sets,
): Counts {
  const available = sumOf(sets, 'availableReplicas')
  const counts = {
    replicas: sumOf(sets, 'replicas'),
    updatedReplicas: current?.status?.replicas ?? 0,
    readyReplicas: sumOf(sets, 'readyReplicas'),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, wantedBy(sets) - available),
  }
  return {
    observedGeneration: deployment.metadata.generation ?? 0,
    ...Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0)),
  }
}

/** Old sets beyond the history that is kept. */
export function surplusSets({ spec }: Frozen<Deployment>, old: Sets): Sets {
  const idle = old.filter(
    ({ spec: own, status, metadata }) =>
      (own.replicas ?? 0) === 0 && (status?.replicas ?? 0) === 0 && metadata.deletionTimestamp === undefined,
  )
  const surplus = idle.length - (spec.revisionHistoryLimit ?? 10)
  return surplus <= 0
    ? []
    : idle.toSorted((a, b) => (revisionOf(a) < revisionOf(b) ? -1 : 1)).slice(0, surplus)
}

export const REVISION = 'deployment.kubernetes.io/revision'

/** Of 64 bits, as Kubernetes counts. */
export function revisionOf({ metadata }: { readonly metadata: Frozen<ReplicaSet>['metadata'] }): bigint {
  const text = metadata.annotations?.[REVISION] ?? ''
  return /^\d{1,19}$/.test(text) ? BigInt(text) : 0n
}
