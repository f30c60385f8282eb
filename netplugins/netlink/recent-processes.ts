/** The processes by which we changed the kernel's rules: what the kernel tells of them is no news. */

/** Those whose changes the kernel may still be telling. */
const REMEMBERED = 64

export class RecentProcesses {
  /** Oldest first. */
  readonly #ids = new Set<number>()

  add(processId: number): void {
    this.#ids.delete(processId)
    this.#ids.add(processId)
    const [oldest] = this.#ids
    if (this.#ids.size > REMEMBERED && oldest !== undefined) this.#ids.delete(oldest)
  }

  has(processId: number): boolean {
    return this.#ids.has(processId)
  }
}
