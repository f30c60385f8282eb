/** Who gets which slot. */
import type { Endpoint, Slots } from './model.ts'

/** Fewest slots of a backend. */
const FEWEST = 4

/** Slots for `count` endpoints with room for a quarter more: most scalings need no reload then. */
function slotCountFor(count: number): number {
  return Math.max(FEWEST, Math.ceil((count * 1.25) / 4) * 4)
}

/**
 * Puts endpoints into slots: those that had one keep it, new ones get the free ones.
 *
 * The number of slots grows only when there are too few (HAProxy has to be reloaded for that), and shrinks when less than a
 * quarter of many is used.
 */
export function assignSlots(previous: Slots | undefined, endpoints: readonly Endpoint[]): Slots {
  const wanted = slotCountFor(endpoints.length)
  const present = previous?.length ?? 0
  const tooMany = present > 64 && endpoints.length < present / 4
  const count = present >= endpoints.length && present > 0 && !tooMany ? present : wanted
  const slots: (Endpoint | undefined)[] = new Array<Endpoint | undefined>(count).fill(undefined)
  const byId = new Map(endpoints.map(endpoint => [endpoint.id, endpoint]))
  for (const [index, old] of (previous ?? []).entries()) {
    if (index >= count) break
    const kept = old && byId.get(old.id)
    if (kept === undefined) continue
    slots[index] = kept
    byId.delete(kept.id)
  }
  // Slots that were free before come first: a client that still has a connection to the one that went is not mixed up.
  const free = [...slots.keys()].filter(index => slots[index] === undefined)
  const order = [
    ...free.filter(index => previous?.[index] === undefined),
    ...free.filter(index => previous?.[index] !== undefined),
  ]
  for (const [position, endpoint] of [...byId.values()].entries()) {
    const index = order[position]
    if (index !== undefined) slots[index] = endpoint
  }
  return slots
}
