/** What is committed in one space, in memory: current objects, recent events, the two revisions. */
import type { ChangeEvent, ObjectKey, StoredObject } from './contract.ts'
import { ObjectIndex } from './object-index.ts'
import { RecentEvents, type RecentEventsLimit } from './recent-events.ts'

/** One revision: the new version of an object, or none when it was deleted. */
export interface Change {
  readonly revision: number
  readonly key: ObjectKey
  readonly object: StoredObject | undefined
}

function eventOf({ revision, object }: Change, previous: StoredObject | undefined): ChangeEvent | undefined {
  if (object === undefined) return previous && { type: 'deleted', revision, previous }
  if (previous === undefined) return { type: 'created', revision, object }
  return { type: 'updated', revision, object, previous }
}

export class SpaceState {
  readonly objects = new ObjectIndex()
  readonly recent: RecentEvents
  #revision: number
  #compactedRevision: number

  /** An empty space at the revision up to which its history is compacted. */
  constructor(compactedRevision: number, limit: RecentEventsLimit) {
    this.recent = new RecentEvents(limit)
    this.#revision = compactedRevision
    this.#compactedRevision = compactedRevision
  }

  get revision(): number {
    return this.#revision
  }

  get compactedRevision(): number {
    return this.#compactedRevision
  }

  /** Puts back an object that was current at the compacted revision. */
  restore(object: StoredObject): void {
    this.objects.put(object)
  }

  /**
   * Applies the next revision.
   *
   * @returns undefined, having done nothing, when it deletes an object that does not exist: only a damaged log does
   */
  apply(change: Change): ChangeEvent | undefined {
    const event = eventOf(change, this.objects.get(change.key))
    if (event === undefined) return undefined
    if (change.object === undefined) this.objects.remove(change.key)
    else this.objects.put(change.object)
    this.#revision = change.revision
    this.recent.push(event)
    return event
  }

  /** The history up to and including `revision` is gone from the database: forget it here too. */
  compacted(revision: number): void {
    this.#compactedRevision = Math.max(this.#compactedRevision, revision)
    this.recent.forget(this.#compactedRevision)
  }
}
