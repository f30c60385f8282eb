/**
 * What the rest of the server may rely on from the store.
 *
 * The store is a revisioned object log over SQL. A *space* is one logical Kubernetes cluster, or `system` for
 * Drover's own constructs; each has its own counter of revisions, contiguous from 1. Every successful write is
 * exactly one revision. A write is acknowledged (its promise resolves) only when it is on disk, and becomes visible
 * to `get`, `list` and `watch` at that moment and not earlier, in order of revision.
 *
 * Reads are synchronous and come from memory. Objects are JSON texts: whoever needs fields parses them.
 */

/** Names a space: `system`, or a cluster's id. Letters, digits and `-`, at most 63 characters. */
export type SpaceId = string & { readonly brand: 'SpaceId' }

/** What identifies an object inside a space. */
export interface ObjectKey {
  /** `pods`, `apps/deployments`, `service`: the owner of the space decides. */
  readonly kind: string
  /** Empty for kinds without namespaces. */
  readonly namespace: string
  readonly name: string
}

/** One version of one object. Immutable. */
export interface StoredObject {
  readonly key: ObjectKey
  /** The revision that wrote this version: the object's resourceVersion. */
  readonly revision: number
  /** The revision that created the object. */
  readonly createdRevision: number
  /** The object as JSON. */
  readonly json: string
}

/**
 * Makes the JSON of a version that is about to be written.
 *
 * It is called synchronously, at most once per write, with the revision that the write will have, so that the object
 * can carry its own resourceVersion. Throwing refuses the write and consumes no revision.
 */
export type EncodeObject = (revision: number, current: StoredObject | undefined) => string

/** Conditions of a write; a write whose condition does not hold is refused with `Conflict`. */
export interface Precondition {
  /** The object must still be at this revision. */
  readonly revision?: number
}

/** One change, as a watch delivers it. `revision` is the revision of the change itself. */
export type ChangeEvent =
  | { readonly type: 'created'; readonly revision: number; readonly object: StoredObject }
  | {
      readonly type: 'updated'
      readonly revision: number
      readonly object: StoredObject
      readonly previous: StoredObject
    }
  | {
      readonly type: 'deleted'
      readonly revision: number
      /** The last version before the deletion. */
      readonly previous: StoredObject
    }

export interface WatchOptions {
  /** Only this kind; every kind when absent. */
  readonly kind?: string
  /** Only this namespace; every namespace when absent. */
  readonly namespace?: string
  /** Deliver every change after this revision. */
  readonly after: number
}

/**
 * A stream of changes: ordered by revision, each matching change exactly once, none skipped.
 *
 * The iteration throws `Expired` when the consumer is so slow that its bounded buffer overflows, and `WriteFailed` when
 * another process took the space over. It ends when the watch is closed, the space is deleted or the store stops.
 * Leaving the loop closes the watch; whoever does not iterate to the end must close it.
 */
export interface Watch extends AsyncIterable<readonly ChangeEvent[]> {
  close(): void
  /**
   * The newest revision up to which this watch has delivered or skipped everything: for bookmarks. Events count as
   * delivered when the iteration has handed them out.
   */
  readonly revision: number
}

export interface ListResult {
  /** The revision of the space at which the list is true. */
  readonly revision: number
  /** In ascending order of namespace, then name (by code unit). */
  readonly objects: readonly StoredObject[]
}

export interface Space {
  readonly id: SpaceId
  /** The newest committed revision; 0 for a new space. */
  readonly revision: number
  /** Watches can start after this revision or any later one. */
  readonly compactedRevision: number

  /**
   * Every write may also be refused with `InvalidKey`, `ObjectTooLarge`, `TooManyWrites`, `Stopped`; with `NotFound`
   * naming the space when that is deleted; and with `WriteFailed` when the database refused or another process took
   * the space over, in which case nothing happened. Only a `WriteFailed` that says that the outcome will be known
   * later leaves it open.
   *
   * @throws `AlreadyExists`
   */
  create(key: ObjectKey, encode: EncodeObject): Promise<StoredObject>
  /** @throws `NotFound`, `Conflict` */
  update(key: ObjectKey, encode: EncodeObject, precondition?: Precondition): Promise<StoredObject>
  /** The last version of the object. @throws `NotFound`, `Conflict` */
  delete(key: ObjectKey, precondition?: Precondition): Promise<{ revision: number; previous: StoredObject }>

  get(key: ObjectKey): StoredObject | undefined
  /** Objects of one kind, of one namespace when named. */
  list(kind: string, namespace?: string): ListResult
  /** How many objects of one kind there are. */
  count(kind: string): number
  /** How many objects there are, and the length of their JSON together. */
  usage(): { readonly objects: number; readonly length: number }

  /** @throws `Expired` when `after` is compacted, `FutureRevision` when it is newer than the newest */
  watch(options: WatchOptions): Watch

  /** Forgets history up to and including `revision`; current objects stay. */
  compact(revision: number): Promise<void>
}

export interface Store {
  /** Names of all spaces, sorted. */
  spaces(): readonly SpaceId[]
  /** Makes an empty space. @throws `AlreadyExists`, `InvalidKey` */
  createSpace(id: SpaceId): Promise<Space>
  /** Opens a space, loading it on first use. @throws `NotFound` */
  openSpace(id: SpaceId): Promise<Space>
  /**
   * Takes a space out of memory, after its accepted writes are on disk; its watches end, and whoever still has it is
   * refused with `Stopped`. Opening it loads it again.
   */
  releaseSpace(id: SpaceId): Promise<void>
  /** Removes a space and everything in it; its watches end. @throws `NotFound` */
  deleteSpace(id: SpaceId): Promise<void>
}
