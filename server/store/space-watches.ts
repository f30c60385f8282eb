/** The watches of one space, and where they read what happened before they began. */
import type { ChangeEvent, Watch, WatchOptions } from './contract.ts'
import type { Database, HistoryRow } from './database.ts'
import { storeErrors } from './errors.ts'
import type { SpaceState } from './space-state.ts'
import { type HistoryPiece, SpaceWatch, type WatchedSpace, type WatchLimit } from './space-watch.ts'
import { eventKey, matches, type WatchFilter, WatchHub } from './watch-hub.ts'

/** One piece of history from the database. */
const HISTORY_PAGE = { rows: 1_000, bytes: 4 * 1024 * 1024 }

export interface SpaceWatchesOptions {
  /** How errors name the space. */
  readonly name: string
  /** The database's key of the space. */
  readonly key: number
  readonly state: SpaceState
  readonly database: Database
  readonly limit: WatchLimit
}

export class SpaceWatches implements WatchedSpace {
  readonly #options: SpaceWatchesOptions
  readonly #open = new Set<SpaceWatch>()
  readonly #live = new WatchHub()

  constructor(options: SpaceWatchesOptions) {
    this.#options = options
  }

  get name(): string {
    return this.#options.name
  }

  get revision(): number {
    return this.#options.state.revision
  }

  /** @throws `Expired`, `FutureRevision` */
  open({ kind, namespace, after }: WatchOptions): Watch {
    const { state, limit } = this.#options
    if (after < state.compactedRevision) throw this.#expired(after)
    if (after > state.revision) {
      throw storeErrors.FutureRevision({
        object: `${this.name} revision ${after}`,
        expected: `a revision up to ${state.revision}`,
      })
    }
    const watch = new SpaceWatch(this, { kind, namespace }, after, limit)
    this.#open.add(watch)
    return watch
  }

  /** Hands events of the newest revisions, in order, to the watches that are up to date. */
  dispatch(events: readonly ChangeEvent[]): void {
    this.#live.dispatch(events)
  }

  /** Ends every watch after what it has buffered. */
  endAll(): void {
    for (const watch of this.#open) watch.end()
  }

  failAll(error: Error): void {
    for (const watch of this.#open) watch.fail(error)
  }

  join(watch: SpaceWatch): void {
    this.#live.add(watch)
  }

  leave(watch: SpaceWatch): void {
    this.#live.remove(watch)
    this.#open.delete(watch)
  }

  recentHistory(filter: WatchFilter, after: number): HistoryPiece | undefined {
    const upTo = this.revision
    if (after === upTo) return { events: [], upTo }
    const events = this.#options.state.recent.after(after)
    return events && { events: events.filter(event => matches(filter, eventKey(event))), upTo }
  }

  async readHistory({ kind, namespace }: WatchFilter, after: number): Promise<HistoryPiece> {
    const { database, key, state } = this.#options
    const page = await database.readHistory({
      space: key,
      kind,
      namespace,
      after,
      // Not what was committed but is not applied here yet: that comes by the live stream.
      upTo: state.revision,
      limit: HISTORY_PAGE,
    })
    if (after < page.compactedRevision) throw this.#expired(after)
    return { events: page.rows.map(row => this.#eventOf(row)), upTo: page.upTo }
  }

  #eventOf(row: HistoryRow): ChangeEvent {
    const { revision, createdRevision, previousRevision, json, previousJson } = row
    const key = this.#options.state.objects.ownKey(row)
    const previous = { key, revision: previousRevision, createdRevision, json: previousJson }
    if (row.deleted) return { type: 'deleted', revision, previous }
    const object = { key, revision, createdRevision, json }
    if (previousRevision === 0) return { type: 'created', revision, object }
    return { type: 'updated', revision, object, previous }
  }

  #expired(after: number) {
    return storeErrors.Expired({
      object: `${this.name} revision ${after}`,
      expected: `a revision from ${this.#options.state.compactedRevision} on`,
    })
  }
}
