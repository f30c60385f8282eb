/** Numbers for ids: small, never used twice, also after a crash. */
import type { Space, StoredObject } from '../store/index.ts'

const KEY = { kind: 'setting', namespace: '', name: 'next-identifier' }

/** How many numbers one write reserves. A restart loses what is left of a reservation. */
const RESERVATION = 1000

export class Identifiers {
  readonly #space: Space
  #next = 0
  #end = 0
  #reserving: Promise<void> | undefined

  constructor(space: Space) {
    this.#space = space
  }

  /** The next free number. */
  async next(): Promise<number> {
    while (this.#next >= this.#end) {
      this.#reserving ??= this.#reserve().finally(() => {
        this.#reserving = undefined
      })
      await this.#reserving
    }
    const number = this.#next
    this.#next += 1
    return number
  }

  async #reserve(): Promise<void> {
    let first = 1
    const encode = (_revision: number, current: StoredObject | undefined) => {
      if (current !== undefined) first = (JSON.parse(current.json) as { next: number }).next
      return JSON.stringify({ next: first + RESERVATION })
    }
    if (this.#space.get(KEY) === undefined) await this.#space.create(KEY, encode)
    else await this.#space.update(KEY, encode)
    this.#next = first
    this.#end = first + RESERVATION
  }
}
