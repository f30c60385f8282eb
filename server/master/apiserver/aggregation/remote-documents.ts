/** What a server inside of a cluster says of itself, remembered for a moment, and longer while it is silent. */

/** Milliseconds for which an answer is good, and after which it is tried again where there was none. */
const FRESH = 30_000
const RETRY = 3_000

export interface Remembered<T> {
  /** Undefined while there was no answer yet. */
  readonly value: T | undefined
  /** Whether the newest try had an answer. */
  readonly current: boolean
}

interface Slot {
  value: unknown
  current: boolean
  /** Monotonic milliseconds. */
  until: number
  pending: Promise<void> | undefined
}

export class RemoteDocuments {
  readonly #slots = new Map<string, Slot>()

  /**
   * A document by its name, fetched where it is not known well enough. Those who ask at the same time get the same.
   *
   * @param fetch undefined while nobody can be asked
   * @param onError told why there is none
   */
  async get<T>(
    name: string,
    fetch: (() => Promise<T>) | undefined,
    onError: (error: unknown) => void,
  ): Promise<Remembered<T>> {
    const slot = this.#slots.get(name) ?? { value: undefined, current: false, until: 0, pending: undefined }
    this.#slots.set(name, slot)
    if (fetch === undefined) slot.current = false
    else if (performance.now() >= slot.until || !slot.current) {
      if (slot.pending === undefined && performance.now() >= slot.until) {
        slot.pending = this.#fetch(slot, fetch, onError)
      }
      await slot.pending
    }
    return { value: slot.value as T | undefined, current: slot.current }
  }

  async #fetch(slot: Slot, fetch: () => Promise<unknown>, onError: (error: unknown) => void): Promise<void> {
    try {
      slot.value = await fetch()
      slot.current = true
    } catch (error) {
      slot.current = false
      onError(error)
    } finally {
      slot.until = performance.now() + (slot.current ? FRESH : RETRY)
      slot.pending = undefined
    }
  }
}
