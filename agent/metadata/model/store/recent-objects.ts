/** Objects that were read from their records lately: what is asked for all the time is not read again each time. */

/** Objects of a generation; there are two. */
const CAPACITY = 512

export class RecentObjects<T> {
  #young = new Map<number, T>()
  #old = new Map<number, T>()

  get(slot: number): T | undefined {
    return this.#young.get(slot) ?? this.#old.get(slot)
  }

  /** It was asked for, or is new. */
  put(slot: number, object: T): void {
    if (this.#young.get(slot) === object) return
    if (this.#young.size >= CAPACITY) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(slot, object)
  }

  delete(slot: number): void {
    this.#young.delete(slot)
    this.#old.delete(slot)
  }
}
