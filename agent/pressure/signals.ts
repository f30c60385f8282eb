/** What is scarce by what was measured, and what the node says of it. Pure. */
import type { Amount, PressureSettings, Signal } from './settings.ts'

/** How much there is of something. */
export interface Observation {
  readonly available: number
  readonly capacity: number
}

/** What could not be measured is left out: nothing is decided by it. */
export type Measurements = ReadonlyMap<Signal, Observation>

export type PressureCondition = 'MemoryPressure' | 'DiskPressure' | 'PIDPressure'

const CONDITIONS: Readonly<Record<Signal, PressureCondition>> = {
  'memory.available': 'MemoryPressure',
  'nodefs.available': 'DiskPressure',
  'nodefs.inodesFree': 'DiskPressure',
  'imagefs.available': 'DiskPressure',
  'imagefs.inodesFree': 'DiskPressure',
  'pid.available': 'PIDPressure',
}

export function conditionOf(signal: Signal): PressureCondition {
  return CONDITIONS[signal]
}

function amountOf(amount: Amount | undefined, capacity: number): number {
  if (amount === undefined) return 0
  return amount.kind === 'number' ? amount.value : amount.value * capacity
}

/**
 * Signals of which there is too little, those first that are reclaimed first: memory, because it cannot wait.
 *
 * @param before those of which there was too little before: it is enough again with `reclaim` more
 */
export function scarceSignals(
  { thresholds, reclaim }: Pick<PressureSettings, 'thresholds' | 'reclaim'>,
  measured: Measurements,
  before: ReadonlySet<Signal>,
): readonly Signal[] {
  return [...thresholds]
    .flatMap(([signal, threshold]) => {
      const observation = measured.get(signal)
      if (observation === undefined) return []
      const { available, capacity } = observation
      const more = before.has(signal) ? amountOf(reclaim.get(signal), capacity) : 0
      return available < amountOf(threshold, capacity) + more ? [signal] : []
    })
    .toSorted((a, b) => Number(b.startsWith('memory')) - Number(a.startsWith('memory')))
}

/** Remembers when the node lacked what: it says so for a while longer, so that pods are not sent to and fro. */
export class PressureMemory {
  readonly #period: number
  readonly #seen = new Map<PressureCondition, number>()

  /** @param period milliseconds */
  constructor(period: number) {
    this.#period = period
  }

  /** @param now monotonic milliseconds */
  note(scarce: readonly Signal[], now: number): void {
    for (const signal of scarce) this.#seen.set(conditionOf(signal), now)
    for (const [condition, seen] of this.#seen) {
      const holds = scarce.some(signal => conditionOf(signal) === condition)
      if (!holds && now - seen >= this.#period) this.#seen.delete(condition)
    }
  }

  conditions(): ReadonlySet<PressureCondition> {
    return new Set(this.#seen.keys())
  }
}
