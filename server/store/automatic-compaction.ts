/** Forgets old history in the background, a little at a time. */
import {
  type CancelTimer,
  type Clock,
  type Logger,
  ReconcileLoop,
  type ReconcileResult,
} from '../../kit/index.ts'
import type { SpaceId } from './contract.ts'
import type { HistoryRetention } from './limits.ts'
import type { SqlSpace } from './sql-space.ts'

/** Steps of one space before another one has its turn. */
const STEPS_IN_A_ROW = 20

export interface AutomaticCompactionOptions {
  readonly retention: HistoryRetention
  /** The spaces that this process has open. */
  readonly spaces: () => Iterable<SqlSpace>
  readonly find: (id: SpaceId) => SqlSpace | undefined
  readonly clock: Clock
  readonly log: Logger
}

export class AutomaticCompaction {
  readonly #options: AutomaticCompactionOptions
  readonly #loop: ReconcileLoop<SpaceId>
  /** The revision of each space one round ago: what came before it is no longer recent. */
  #seen = new WeakMap<SqlSpace, number>()
  #cancel: CancelTimer | undefined

  constructor(options: AutomaticCompactionOptions) {
    this.#options = options
    this.#loop = new ReconcileLoop({
      name: 'compaction',
      reconcile: id => this.#compact(id),
      log: options.log,
      concurrency: 1,
      clock: options.clock,
    })
  }

  start(): void {
    this.#loop.start()
    this.#schedule()
  }

  async stop(): Promise<void> {
    this.#cancel?.()
    await this.#loop.stop()
  }

  #schedule(): void {
    const { clock, retention } = this.#options
    this.#cancel = clock.after(retention.interval, () => {
      this.#round()
      this.#schedule()
    })
  }

  #round(): void {
    const { spaces, retention } = this.#options
    for (const space of spaces()) {
      const seen = this.#seen.get(space)
      if (seen !== undefined) space.forgetRecent(seen)
      this.#seen.set(space, space.revision)
      // An idle space is compacted already and costs nothing here.
      if (space.revision - space.compactedRevision > retention.revisions) this.#loop.kick(space.id)
    }
  }

  async #compact(id: SpaceId): Promise<ReconcileResult> {
    const { retention, clock, find } = this.#options
    const space = find(id)
    if (space === undefined || space.closed) return
    for (let step = 0; step < STEPS_IN_A_ROW; step += 1) {
      if (!(await space.compactOlderThan(clock.now() - retention.age, retention.revisions))) return
    }
    return { requeueAfter: 0 }
  }
}
