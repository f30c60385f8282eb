/**
 * Which clusters may sleep. One that nobody asks and that does nothing by itself is taken out of memory; a request wakes
 * it, and so does the moment at which one of its workers wanted to do something: a cron job that is due, an event that
 * is too old.
 *
 * Clusters are looked at now and then, by what they count anyway: requests pay nothing for it.
 */
import type { CancelTimer, Clock } from '../../kit/index.ts'

/** What a cluster that is used cannot keep as it is. */
export interface Activity {
  /** Requests, watches and streams that are open. */
  readonly users: number
  /** How many there have ever been. */
  readonly uses: number
  /** Of its newest write, whoever made it. */
  readonly revision: number
}

export interface AwakeCluster {
  readonly activity: Activity
  /** When a worker next wants to do something, on the scale of the clock's `monotonic`; infinity when never. */
  readonly nextDue: number
}

export interface SuspensionOptions {
  /** Milliseconds of quiet before a cluster sleeps; infinity for never. */
  readonly after: number
  readonly clock: Clock
  /** Clusters in memory. */
  readonly awake: () => Iterable<readonly [string, AwakeCluster]>
  /** Takes a cluster out of memory. Must not throw. */
  readonly suspend: (id: string) => void
  /** Brings a cluster back into memory. Must not throw. */
  readonly wake: (id: string) => void
}

interface Quiet {
  readonly activity: Activity
  readonly since: number
}

/** How often a cluster is looked at within the time that it has to be quiet. */
const LOOKS = 4
/** Longest sleep in milliseconds: timers of the machine overflow after 24 days, and what a worker forgot comes up then. */
const LONGEST_SLEEP = 24 * 3_600_000

export class Suspension {
  readonly #options: SuspensionOptions
  readonly #quiet = new WeakMap<AwakeCluster, Quiet>()
  readonly #sleeping = new Map<string, CancelTimer>()
  #cancel: CancelTimer | undefined

  constructor(options: SuspensionOptions) {
    this.#options = options
  }

  start(): void {
    const { after, clock } = this.#options
    if (after === Number.POSITIVE_INFINITY) return
    this.#cancel = clock.after(after / LOOKS, () => {
      this.#look()
      this.start()
    })
  }

  stop(): void {
    this.#cancel?.()
    for (const id of this.#sleeping.keys()) this.forget(id)
  }

  /** How many clusters sleep. */
  get sleeping(): number {
    return this.#sleeping.size
  }

  /** Whether a cluster has been left alone for long enough, and will be for a while. */
  mayRest(cluster: AwakeCluster): boolean {
    const { after, clock } = this.#options
    const now = clock.monotonic()
    const { activity, nextDue } = cluster
    const before = this.#quiet.get(cluster)
    const untouched =
      before !== undefined &&
      activity.users === 0 &&
      activity.uses === before.activity.uses &&
      activity.revision === before.activity.revision
    const since = untouched ? before.since : now
    this.#quiet.set(cluster, { activity, since })
    return now - since >= after && nextDue - now >= after
  }

  /** The cluster sleeps, until a moment at the latest. */
  asleep(id: string, nextDue: number): void {
    const { clock, wake } = this.#options
    const sleep = Math.min(LONGEST_SLEEP, Math.max(0, nextDue - clock.monotonic()))
    this.forget(id)
    this.#sleeping.set(
      id,
      clock.after(sleep, () => {
        this.#sleeping.delete(id)
        wake(id)
      }),
    )
  }

  /** The cluster is awake, or gone. */
  forget(id: string): void {
    this.#sleeping.get(id)?.()
    this.#sleeping.delete(id)
  }

  #look(): void {
    for (const [id, cluster] of this.#options.awake()) if (this.mayRest(cluster)) this.#options.suspend(id)
  }
}
