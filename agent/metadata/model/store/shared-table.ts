/** Values that many records hold, each kept once under a number, as long as some record uses it. */
import { textHash } from './text-hash.ts'

/** Texts that are remembered as seen; a power of two. */
const MEMORY = 16_384

/** Longer texts than this are worth a number; a number takes two or three bytes. */
const WORTH = 3

export class SharedTable<T> {
  readonly #ids = new Map<string, number>()
  readonly #texts: string[] = []
  readonly #values: (T | undefined)[] = []
  readonly #users: number[] = []
  readonly #free: number[] = []
  readonly #seenHashes = new Uint32Array(MEMORY)
  readonly #seenOwners = new Int32Array(MEMORY).fill(-1)

  /** Values that are kept. */
  get size(): number {
    return this.#ids.size
  }

  /** @param id of a value that is in use */
  get(id: number): T {
    return this.#values[id] as T
  }

  /** The number of a value that is kept already, without becoming a user of it. */
  find(text: string): number | undefined {
    return this.#ids.get(text)
  }

  /** One more user of `id`. */
  use(id: number): void {
    this.#users[id] = (this.#users[id] ?? 0) + 1
  }

  /**
   * A number for a value that another record held lately, with one user; undefined for one that is new, or was seen in
   * records of `owner` only: what belongs to one object alone is not worth it, however often that object changes.
   */
  share(text: string, value: T, owner: number): number | undefined {
    if (text.length <= WORTH || !this.#wasSeen(text, owner)) return undefined
    const id = this.#free.pop() ?? this.#values.length
    this.#ids.set(text, id)
    this.#texts[id] = text
    this.#values[id] = value
    this.#users[id] = 1
    return id
  }

  /** One user less; nothing is kept of a value without any. */
  release(id: number): void {
    const users = (this.#users[id] ?? 0) - 1
    this.#users[id] = users
    if (users > 0) return
    this.#ids.delete(this.#texts[id] ?? '')
    this.#texts[id] = ''
    this.#values[id] = undefined
    this.#free.push(id)
  }

  #wasSeen(text: string, owner: number): boolean {
    const hash = textHash(text)
    const at = hash & (MEMORY - 1)
    const seen = this.#seenHashes[at] === hash
    const other = this.#seenOwners[at]
    this.#seenHashes[at] = hash
    this.#seenOwners[at] = owner
    return seen && other !== owner && other !== -1
  }
}
