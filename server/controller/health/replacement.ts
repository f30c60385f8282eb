/** Which units of a service are replaced because they are unhealthy. Pure; times are milliseconds of a monotonic clock. */
import type { HealthCheck } from '../../model/index.ts'

export interface UnitHealth {
  readonly id: string
  readonly serviceIndex: number
  readonly state: 'active' | 'removing'
  /** All of it runs, and what is checked is healthy. */
  readonly healthy: boolean
  /** It never ran, and its host is away: nobody is there to start it. */
  readonly stranded?: boolean
  /** The checks that unhealthy containers of it have. */
  readonly unhealthy: readonly Pick<HealthCheck, 'strategy' | 'quorum'>[]
}

export interface ReplacementInput {
  readonly scale: number
  readonly units: readonly UnitHealth[]
  /** Index → when its replacement is given up: places that are taken by earlier replacements. */
  readonly under: ReadonlyMap<number, number>
  readonly now: number
}

export interface ReplacementPlan {
  /** Units to be replaced now, in order of their index. */
  readonly replace: readonly UnitHealth[]
  /** Indexes whose replacement has ended, well or not. */
  readonly ended: readonly number[]
}

/** At most a quarter of a service is replaced at a time, and at least one unit. */
export function replacementCap(scale: number): number {
  return Math.max(1, Math.ceil(scale / 4))
}

function wanted({ unhealthy }: UnitHealth, healthy: number, scale: number): boolean {
  return unhealthy.some(({ strategy, quorum = Math.floor(scale / 2) + 1 }) => {
    if (strategy === 'none') return false
    return strategy === 'recreate' || healthy >= quorum
  })
}

/**
 * Plans one step: what is unhealthy goes, no more at a time than the cap allows. What is stranded goes at once: it takes its place
 * along, and nobody loses anything by it.
 */
export function planReplacements({ scale, units, under, now }: ReplacementInput): ReplacementPlan {
  const active = units.filter(({ state }) => state === 'active')
  const healthy = active.filter(unit => unit.healthy).length
  const ended = [...under]
    .filter(
      ([index, end]) =>
        now >= end || index > scale || active.some(unit => unit.serviceIndex === index && unit.healthy),
    )
    .map(([index]) => index)
  const busy = new Set([...under.keys()].filter(index => !ended.includes(index)))
  // Those that are going: also of replacements that another server began. One on a host that is away goes on going when its
  // replacement has long been there; that one holds up nobody.
  const replaced = new Set(active.filter(unit => unit.healthy).map(unit => unit.serviceIndex))
  for (const { state, serviceIndex } of units) {
    if (state === 'removing' && serviceIndex <= scale && !replaced.has(serviceIndex)) busy.add(serviceIndex)
  }
  const free = Math.max(0, replacementCap(scale) - busy.size)
  const byIndex = (a: UnitHealth, b: UnitHealth) => a.serviceIndex - b.serviceIndex
  const unhealthy = active
    .filter(unit => !unit.stranded && !busy.has(unit.serviceIndex) && wanted(unit, healthy, scale))
    .toSorted(byIndex)
    .slice(0, free)
  const stranded = active.filter(unit => unit.stranded === true)
  return { replace: [...stranded, ...unhealthy].toSorted(byIndex), ended }
}
