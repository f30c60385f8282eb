/** One space: accepts writes against what is committed and pending, applies them when they are on disk. */
import type { Clock } from '../../kit/index.ts'
import type {
  ChangeEvent,
  EncodeObject,
  ListResult,
  ObjectKey,
  Precondition,
  Space,
  SpaceId,
  StoredObject,
  Watch,
  WatchOptions,
} from './contract.ts'
import type { CompactionStep, Database, SpaceRow } from './database.ts'
import { storeErrors } from './errors.ts'
import type { GroupCommit, PendingWrite, WriteTarget } from './group-commit.ts'
import type { StoreLimits } from './limits.ts'
import { describeKey, requireValidKey } from './object-key.ts'
import { PendingVersions } from './pending-versions.ts'
import type { SpaceState } from './space-state.ts'
import { SpaceWatches } from './space-watches.ts'
import { failedOperation, fencedOff } from './write-failure.ts'

/** Revisions forgotten in one transaction: a few milliseconds in which no write is committed. */
const COMPACTION_STEP = 500

export interface SqlSpaceOptions {
  readonly row: SpaceRow
  readonly state: SpaceState
  readonly database: Database
  readonly commits: GroupCommit
  readonly clock: Clock
  readonly limits: StoreLimits
}

interface Decision<Result> {
  /** The next version; undefined to delete the object. */
  readonly object: StoredObject | undefined
  /** What the write resolves to. */
  readonly result: Result
}

/** What a write makes of the current version. Throws to refuse. */
type Decide<Result> = (current: StoredObject | undefined, revision: number) => Decision<Result>

/** @throws `NotFound`, `Conflict` */
function requireCurrent(
  key: ObjectKey,
  current: StoredObject | undefined,
  precondition: Precondition | undefined,
): StoredObject {
  if (current === undefined) throw storeErrors.NotFound({ object: describeKey(key) })
  const expected = precondition?.revision
  if (expected !== undefined && expected !== current.revision) {
    throw storeErrors.Conflict({
      object: describeKey(key),
      message: `is at revision ${current.revision}, not ${expected} any more`,
    })
  }
  return current
}

export class SqlSpace implements Space, WriteTarget {
  readonly id: SpaceId
  readonly key: number
  readonly epoch: number
  readonly #options: SqlSpaceOptions
  readonly #state: SpaceState
  readonly #pending: PendingVersions
  readonly #watches: SpaceWatches
  /** Why nothing more can be asked of this space. */
  #closed: Error | undefined
  #deciding = false

  constructor(options: SqlSpaceOptions) {
    const { row, state, database, limits } = options
    this.id = row.id
    this.key = row.key
    this.epoch = row.epoch
    this.#options = options
    this.#state = state
    this.#pending = new PendingVersions(state.revision)
    this.#watches = new SpaceWatches({
      name: `space ${row.id}`,
      key: row.key,
      state,
      database,
      limit: limits.watch,
    })
  }

  get revision(): number {
    return this.#state.revision
  }

  get compactedRevision(): number {
    return this.#state.compactedRevision
  }

  /** Whether it was deleted, fenced or stopped. */
  get closed(): boolean {
    return this.#closed !== undefined
  }

  create(key: ObjectKey, encode: EncodeObject): Promise<StoredObject> {
    return this.#write(key, (present, revision) => {
      if (present !== undefined) throw storeErrors.AlreadyExists({ object: describeKey(key) })
      const object = this.#newVersion(key, revision, undefined, encode(revision, undefined))
      return { object, result: object }
    })
  }

  update(key: ObjectKey, encode: EncodeObject, precondition?: Precondition): Promise<StoredObject> {
    return this.#write(key, (present, revision) => {
      const previous = requireCurrent(key, present, precondition)
      const object = this.#newVersion(key, revision, previous, encode(revision, previous))
      return { object, result: object }
    })
  }

  delete(key: ObjectKey, precondition?: Precondition): Promise<{ revision: number; previous: StoredObject }> {
    return this.#write(key, (present, revision) => {
      const previous = requireCurrent(key, present, precondition)
      return { object: undefined, result: { revision, previous } }
    })
  }

  get(key: ObjectKey): StoredObject | undefined {
    return this.#state.objects.get(key)
  }

  list(kind: string, namespace?: string): ListResult {
    return { revision: this.revision, objects: this.#state.objects.list(kind, namespace) }
  }

  count(kind: string): number {
    return this.#state.objects.count(kind)
  }

  usage(): { readonly objects: number; readonly length: number } {
    const { size, length } = this.#state.objects
    return { objects: size, length }
  }

  watch(options: WatchOptions): Watch {
    if (this.#closed !== undefined) throw this.#closed
    return this.#watches.open(options)
  }

  async compact(revision: number): Promise<void> {
    if (revision > this.revision) {
      throw storeErrors.FutureRevision({
        object: `space ${this.id} revision ${revision}`,
        expected: `a revision up to ${this.revision}`,
      })
    }
    while (this.compactedRevision < revision && (await this.#compactStep({ upTo: revision })));
  }

  /**
   * Forgets one piece of what was written at or before `time` (milliseconds since 1970), except the newest `keep`
   * revisions.
   *
   * @returns whether there was something to forget
   */
  compactOlderThan(time: number, keep: number): Promise<boolean> {
    return this.#compactStep({ upTo: this.revision - keep, writtenBefore: time })
  }

  /** Forgets the events that memory holds up to and including `revision`; watches can still read them from disk. */
  forgetRecent(revision: number): void {
    this.#state.recent.forget(revision)
  }

  /** Ends the space for its users: watches end after what they have buffered. */
  close(error: Error): void {
    this.#closed ??= error
    this.#watches.endAll()
  }

  /** Resolves when what was accepted is on disk, or will never be. */
  settled(): Promise<void> {
    return this.#pending.settled()
  }

  committed(writes: readonly PendingWrite[]): void {
    const events: ChangeEvent[] = []
    for (const { row, key, object } of writes) {
      const event = this.#state.apply({ revision: row.revision, key, object })
      if (event !== undefined) events.push(event)
      this.#pending.settle(key, row.revision)
    }
    this.#watches.dispatch(events)
  }

  discardPending(): void {
    this.#pending.discard(this.revision)
  }

  fence(): void {
    this.#closed ??= fencedOff(this.id)
    this.#watches.failAll(this.#closed)
  }

  async #write<Result>(key: ObjectKey, decide: Decide<Result>): Promise<Result> {
    requireValidKey(key)
    if (this.#closed !== undefined) throw this.#closed
    this.#options.commits.requireRoom(this)
    const pending = this.#pending.get(key)
    const current = pending === undefined ? this.#state.objects.get(key) : pending.object
    const revision = this.#pending.nextRevision
    let decision: Decision<Result>
    try {
      decision = this.#unnested(key, () => decide(current, revision))
    } catch (error) {
      // The reason may be a version that is not on disk yet, and that nobody can read: it counts only when it is.
      await pending?.settled
      throw error
    }
    await this.#accept(decision.object?.key ?? current?.key ?? key, revision, decision.object, current)
    return decision.result
  }

  #unnested<Result>(key: ObjectKey, decide: () => Result): Result {
    if (this.#deciding) throw storeErrors.NestedWrite({ object: describeKey(key) })
    this.#deciding = true
    try {
      return decide()
    } finally {
      this.#deciding = false
    }
  }

  /** @throws `ObjectTooLarge` */
  #newVersion(
    key: ObjectKey,
    revision: number,
    previous: StoredObject | undefined,
    json: string,
  ): StoredObject {
    const limit = this.#options.limits.objectBytes
    const bytes = Buffer.byteLength(json)
    if (bytes > limit) {
      throw storeErrors.ObjectTooLarge({
        object: describeKey(key),
        message: `is too large to be stored: ${bytes} bytes`,
        expected: `at most ${limit} bytes of JSON`,
      })
    }
    return {
      key: previous?.key ?? this.#state.objects.ownKey(key),
      revision,
      createdRevision: previous?.createdRevision ?? revision,
      json,
    }
  }

  /** Gives a write its place in the order of revisions; resolves when it is on disk. */
  #accept(
    key: ObjectKey,
    revision: number,
    object: StoredObject | undefined,
    previous: StoredObject | undefined,
  ): Promise<void> {
    const settled = Promise.withResolvers<void>()
    this.#pending.add(key, { revision, object, settled: settled.promise })
    const row = {
      revision,
      kind: key.kind,
      namespace: key.namespace,
      name: key.name,
      previousRevision: previous?.revision ?? 0,
      createdRevision: (object ?? previous)?.createdRevision ?? revision,
      deleted: object === undefined,
      time: this.#options.clock.now(),
      json: object?.json ?? '',
    }
    this.#options.commits.add({ target: this, key, object, row, settled })
    return settled.promise
  }

  /** Whether the history became shorter. */
  async #compactStep(bounds: Pick<CompactionStep, 'upTo' | 'writtenBefore'>): Promise<boolean> {
    if (this.#closed !== undefined) throw this.#closed
    const step = { space: this.key, epoch: this.epoch, revisions: COMPACTION_STEP, ...bounds }
    let compacted: number | undefined
    try {
      compacted = await this.#options.database.compact(step)
    } catch (error) {
      throw failedOperation(this.id, error)
    }
    if (compacted === undefined) {
      this.fence()
      throw fencedOff(this.id)
    }
    const before = this.compactedRevision
    this.#state.compacted(compacted)
    return compacted > before
  }
}
