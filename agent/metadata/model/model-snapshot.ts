/** A model as it was at one moment, to be gone through while it changes. */
import type { MetadataObject } from '../../../protocol/index.ts'
import type { ObjectStore } from './store/index.ts'

export class ModelSnapshot implements Iterable<MetadataObject> {
  readonly #store: ObjectStore
  readonly #onEnd: () => void
  readonly #slots: number
  readonly #stamp: number
  /** Objects that were changed before the snapshot came to them, as they were: at most one for each that there was. */
  readonly #kept = new Map<number, MetadataObject>()
  #next = 0

  /** @param onEnd called once, when changes need not be told any more */
  constructor(store: ObjectStore, onEnd: () => void) {
    this.#store = store
    this.#onEnd = onEnd
    this.#slots = store.slotLimit
    this.#stamp = store.newestStamp
  }

  /** To be told before each change. @param object what is in the slot still */
  keep(slot: number, object: MetadataObject): void {
    if (slot >= this.#next && slot < this.#slots && this.#isOfThen(slot) && !this.#kept.has(slot))
      this.#kept.set(slot, object)
  }

  *[Symbol.iterator](): Generator<MetadataObject> {
    while (this.#next < this.#slots) {
      const slot = this.#next
      this.#next += 1
      const kept = this.#kept.get(slot)
      this.#kept.delete(slot)
      if (kept !== undefined) yield kept
      else if (this.#isOfThen(slot)) yield this.#store.read(slot)
    }
  }

  /** It is not gone through any further. */
  end(): void {
    this.#kept.clear()
    this.#onEnd()
  }

  /** Whether what is in the slot was there at that moment. */
  #isOfThen(slot: number): boolean {
    const stamp = this.#store.stampOf(slot)
    return stamp !== 0 && stamp <= this.#stamp
  }
}
