/**
 * Lists that somebody is reading page by page. Every page comes from the moment of the first one, so that a client that
 * reads on sees one consistent state.
 */
import type { CancelTimer, Clock } from '../../../../kit/index.ts'
import type { ListResult, StoredObject } from '../../../store/index.ts'

/** Milliseconds that a client has between two pages. */
const PATIENCE = 120_000
/** A snapshot keeps old versions in memory; the oldest go when there is more than this. */
const OBJECT_LIMIT = 200_000

interface Snapshot {
  readonly list: ListResult
  usedAt: number
}

export class ListSnapshots {
  readonly #clock: Clock
  /** In order of last use. */
  readonly #snapshots = new Map<string, Snapshot>()
  #objects = 0
  #cancel: CancelTimer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The objects of a list as they were at its revision; undefined when they are forgotten. */
  find(kind: string, namespace: string | undefined, revision: number): readonly StoredObject[] | undefined {
    const key = keyOf(kind, namespace, revision)
    const snapshot = this.#snapshots.get(key)
    if (snapshot === undefined) return undefined
    snapshot.usedAt = this.#clock.monotonic()
    this.#snapshots.delete(key)
    this.#snapshots.set(key, snapshot)
    return snapshot.list.objects
  }

  keep(kind: string, namespace: string | undefined, list: ListResult): void {
    const key = keyOf(kind, namespace, list.revision)
    if (this.#snapshots.has(key)) return
    this.#snapshots.set(key, { list, usedAt: this.#clock.monotonic() })
    this.#objects += list.objects.length
    while (this.#objects > OBJECT_LIMIT && this.#snapshots.size > 1) this.#forgetOldest()
    this.#schedule()
  }

  clear(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#snapshots.clear()
    this.#objects = 0
  }

  #forgetOldest(): void {
    const oldest = this.#snapshots.entries().next().value
    if (oldest === undefined) return
    this.#snapshots.delete(oldest[0])
    this.#objects -= oldest[1].list.objects.length
  }

  #schedule(): void {
    this.#cancel ??= this.#clock.after(PATIENCE, () => {
      this.#cancel = undefined
      const before = this.#clock.monotonic() - PATIENCE
      for (
        let oldest = this.#snapshots.values().next().value;
        oldest !== undefined && oldest.usedAt <= before;
        oldest = this.#snapshots.values().next().value
      ) {
        this.#forgetOldest()
      }
      if (this.#snapshots.size > 0) this.#schedule()
    })
  }
}

function keyOf(kind: string, namespace: string | undefined, revision: number): string {
  return `${revision} ${kind} ${namespace ?? '*'}`
}
