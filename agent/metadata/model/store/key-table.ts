/**
 * Slots by the key of what is in them, in the order that the objects have. Keys are not kept: a slot that may be meant is
 * asked for its own.
 */
import { textHash } from './text-hash.ts'

/** One slot, or several in order. */
type Slots = number | readonly number[]

/** What the table has to know of what is in the slots. */
export interface SlotOrder {
  /** Below 0 when what is in `left` comes before what is in `right`. */
  compare(left: number, right: number): number
}

const SMALLEST = 16
const NONE: readonly number[] = []

/** The first place in `slots` that does not come before `slot`. */
function placeOf(slots: readonly number[], slot: number, order: SlotOrder): number {
  let low = 0
  let high = slots.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (order.compare(slots[middle] ?? 0, slot) < 0) low = middle + 1
    else high = middle
  }
  return low
}

export class KeyTable {
  readonly #order: SlotOrder
  /** Whether a slot's key is this one. */
  readonly #hasKey: (slot: number, key: string) => boolean
  /** Open addressing: hashes of keys, and what belongs to them: 0 nothing, n slot n-1, -n the group n-1. */
  #hashes = new Uint32Array(SMALLEST)
  #entries = new Int32Array(SMALLEST)
  #used = 0
  readonly #groups: number[][] = []
  readonly #freeGroups: number[] = []

  constructor(order: SlotOrder, hasKey: (slot: number, key: string) => boolean) {
    this.#order = order
    this.#hasKey = hasKey
  }

  /** All with a key, in order. It changes with the table. */
  get(key: string): readonly number[] {
    const at = this.#find(key)
    if (at < 0) return NONE
    const slots = this.#slotsAt(at)
    return typeof slots === 'number' ? [slots] : slots
  }

  /** The first with a key. */
  first(key: string): number | undefined {
    const at = this.#find(key)
    if (at < 0) return undefined
    const slots = this.#slotsAt(at)
    return typeof slots === 'number' ? slots : slots[0]
  }

  /** @param slot of an object with that key, which is in the table with no other */
  add(key: string, slot: number): void {
    const at = this.#find(key)
    if (at < 0) {
      this.#insert(textHash(key), slot + 1)
      return
    }
    const slots = this.#slotsAt(at)
    if (typeof slots !== 'number') {
      ;(slots as number[]).splice(placeOf(slots, slot, this.#order), 0, slot)
      return
    }
    const group = this.#freeGroups.pop() ?? this.#groups.length
    this.#groups[group] = this.#order.compare(slots, slot) < 0 ? [slots, slot] : [slot, slots]
    this.#entries[at] = -group - 1
  }

  /** @param key with which the slot was added; its object may have changed since, but not its place in the order */
  remove(key: string, slot: number): void {
    const hash = textHash(key)
    for (let at = this.#home(hash); this.#entries[at] !== 0; at = this.#next(at)) {
      if (this.#hashes[at] === hash && this.#removeAt(at, slot)) return
    }
  }

  /** False when the slot is not there. */
  #removeAt(at: number, slot: number): boolean {
    const slots = this.#slotsAt(at)
    if (typeof slots === 'number') {
      if (slots !== slot) return false
      this.#empty(at)
      return true
    }
    const place = placeOf(slots, slot, this.#order)
    if (slots[place] !== slot) return false
    ;(slots as number[]).splice(place, 1)
    const [last] = slots
    if (slots.length > 1 || last === undefined) return true
    const group = -(this.#entries[at] ?? 0) - 1
    this.#groups[group] = []
    this.#freeGroups.push(group)
    this.#entries[at] = last + 1
    return true
  }

  #find(key: string): number {
    const hash = textHash(key)
    for (let at = this.#home(hash); this.#entries[at] !== 0; at = this.#next(at)) {
      if (this.#hashes[at] !== hash) continue
      const slots = this.#slotsAt(at)
      if (this.#hasKey(typeof slots === 'number' ? slots : (slots[0] ?? -1), key)) return at
    }
    return -1
  }

  #slotsAt(at: number): Slots {
    const entry = this.#entries[at] ?? 0
    return entry > 0 ? entry - 1 : (this.#groups[-entry - 1] ?? NONE)
  }

  #home(hash: number): number {
    return hash & (this.#entries.length - 1)
  }

  #next(at: number): number {
    return (at + 1) & (this.#entries.length - 1)
  }

  #insert(hash: number, entry: number): void {
    if ((this.#used + 1) * 4 > this.#entries.length * 3) this.#resize(this.#entries.length * 2)
    this.#used += 1
    this.#place(hash, entry)
  }

  #place(hash: number, entry: number): void {
    let at = this.#home(hash)
    while (this.#entries[at] !== 0) at = this.#next(at)
    this.#hashes[at] = hash
    this.#entries[at] = entry
  }

  /** Leaves no gap between an entry and the place where it is looked for first. */
  #empty(hole: number): void {
    let gap = hole
    for (let at = this.#next(hole); this.#entries[at] !== 0; at = this.#next(at)) {
      const home = this.#home(this.#hashes[at] ?? 0)
      const mask = this.#entries.length - 1
      // As far from its home as the gap is, or farther: it may move there.
      if (((at - home) & mask) < ((at - gap) & mask)) continue
      this.#hashes[gap] = this.#hashes[at] ?? 0
      this.#entries[gap] = this.#entries[at] ?? 0
      gap = at
    }
    this.#entries[gap] = 0
    this.#used -= 1
    if (this.#entries.length > SMALLEST && this.#used * 8 < this.#entries.length)
      this.#resize(this.#entries.length / 2)
  }

  #resize(length: number): void {
    const hashes = this.#hashes
    const entries = this.#entries
    this.#hashes = new Uint32Array(length)
    this.#entries = new Int32Array(length)
    for (let at = 0; at < entries.length; at += 1) {
      const entry = entries[at] ?? 0
      if (entry !== 0) this.#place(hashes[at] ?? 0, entry)
    }
  }
}
