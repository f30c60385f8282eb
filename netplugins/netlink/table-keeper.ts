/** Brings objects of the kernel from what they are to what they should be, in batches. */
import { type KernelObject, type KernelTable, tableChanges } from './kernel-objects.ts'
import type { RouteSocket } from './route-socket.ts'

export interface TableOutcome {
  /** How many objects were added, changed or removed. */
  readonly changes: number
  /** Key → why the kernel refused it. */
  readonly failures: ReadonlyMap<string, Error>
}

export class TableKeeper {
  readonly #socket: RouteSocket
  /** What the last successful change made; undefined when that is not known. */
  #believed: KernelTable | undefined

  constructor(socket: RouteSocket) {
    this.#socket = socket
  }

  /** Whether `change` can do without being told what there is. */
  get isKnown(): boolean {
    return this.#believed !== undefined
  }

  /** Whether there should be an object just like this one. */
  holds(object: KernelObject): boolean {
    return this.#believed?.get(object.key)?.value === object.value
  }

  forget(): void {
    this.#believed = undefined
  }

  /**
   * Adds what is missing in the order of `desired`, then removes what is too much in the reverse order of `actual`: what
   * others rely on comes first in both. After a failure nothing is known any more.
   *
   * @param actual what there is; what the last change made, when absent
   * @throws `QueueFull`, `Stopped`
   */
  async change(
    desired: KernelTable,
    actual: KernelTable = this.#believed ?? new Map(),
  ): Promise<TableOutcome> {
    const { additions, removals } = tableChanges(actual, desired)
    const steps = [...additions, ...removals.toReversed()]
    this.#believed = undefined
    const results = await this.#socket.batch(steps.map(step => step.request))
    const failures = new Map<string, Error>()
    for (const [index, error] of results.entries()) {
      const key = steps[index]?.key
      if (error !== undefined && key !== undefined) failures.set(key, error)
    }
    if (failures.size === 0) this.#believed = desired
    return { changes: steps.length - failures.size, failures }
  }
}
