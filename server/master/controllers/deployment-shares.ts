/** A deployment that is scaled while it rolls: every set gets its share (Kubernetes "Proportional scaling"). Pure. */
import type { Deployment, Frozen, ReplicaSet } from '../apiserver/index.ts'

type Sets = readonly Frozen<ReplicaSet>[]

/** What the deployment wanted when a set was scaled last, and how many pods it might have had then. */
export const DESIRED = 'deployment.kubernetes.io/desired-replicas'
export const MOST = 'deployment.kubernetes.io/max-replicas'

const sizeOf = ({ spec }: Frozen<ReplicaSet>) => spec.replicas ?? 0

/** Whether the deployment was scaled since one of these sets was. */
function wasScaled(wanted: number, sets: Sets): boolean {
  return sets.some(({ metadata }) => Number(metadata.annotations?.[DESIRED] ?? wanted) !== wanted)
}

/** What remains goes to the first: the largest, of equal ones the newest when there are to be more. */
function inOrder(sets: Sets, grows: boolean): Sets {
  const age = ({ metadata }: Frozen<ReplicaSet>) => Date.parse(metadata.creationTimestamp ?? '') || 0
  return sets.toSorted((a, b) => sizeOf(b) - sizeOf(a) || (grows ? age(b) - age(a) : age(a) - age(b)))
}

/**
 * @param surge pods that there may be beside those that are wanted
 * @returns replicas of every set that has some, by name; undefined when there is nothing to be shared
 */
export function planShares(
  { spec, status }: Frozen<Deployment>,
  surge: number,
  sets: Sets,
): Map<string, number> | undefined {
  const wanted = spec.replicas ?? 0
  const active = sets.filter(set => sizeOf(set) > 0)
  if (active.length < 2 || !wasScaled(wanted, active)) return undefined
  const room = wanted === 0 ? 0 : wanted + surge
  const change = room - active.reduce((sum, set) => sum + sizeOf(set), 0)
  const shares = new Map<string, number>()
  let left = change
  for (const set of inOrder(active, change > 0)) {
    const size = sizeOf(set)
    const most = Number(set.metadata.annotations?.[MOST] ?? status?.replicas ?? 0)
    const share = most > 0 ? Math.round((size * room) / most) - size : 0
    const part = change > 0 ? Math.max(0, Math.min(share, left)) : Math.min(0, Math.max(share, left))
    left -= part
    shares.set(set.metadata.name, size + part)
  }
  const [first] = shares
  if (first !== undefined) shares.set(first[0], Math.max(0, first[1] + left))
  return shares
}
