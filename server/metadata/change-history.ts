/** Which objects of one cluster changed when, back to some revision. */

interface Change {
  readonly revision: number
  readonly uuid: string
}

/** Changes remembered per cluster; an agent that missed more gets everything. */
const CAPACITY = 50_000

export class ChangeHistory {
  /** In ascending order of revision. */
  #changes: Change[] = []
  #floor: number

  /** @param floor the revision after which every change will be noted */
  constructor(floor: number) {
    this.#floor = floor
  }

  /** @param revision not below that of any change noted before */
  note(revision: number, uuid: string): void {
    this.#changes.push({ revision, uuid })
    if (this.#changes.length < CAPACITY * 2) return
    const kept = this.#changes.slice(-CAPACITY)
    // Others of the oldest revision that is kept may be gone with the rest.
    this.#floor = kept[0]?.revision ?? this.#floor
    this.#changes = kept
  }

  /** Whether every change after `revision` is known. */
  knowsSince(revision: number): boolean {
    return revision >= this.#floor
  }

  /** uuids of what changed after `revision`; undefined when that is not known any more. */
  since(revision: number): ReadonlySet<string> | undefined {
    if (!this.knowsSince(revision)) return undefined
    const uuids = new Set<string>()
    for (let index = this.#changes.length - 1; index >= 0; index -= 1) {
      const change = this.#changes[index]
      if (change === undefined || change.revision <= revision) break
      uuids.add(change.uuid)
    }
    return uuids
  }
}
