/** All open watches of the process: starts them, tells them the time, ends them. */
import { randomInt } from 'node:crypto'
import type { CancelTimer, Clock } from '../../../../kit/index.ts'
import type { Resource } from '../catalog/index.ts'
import type { Cluster } from '../cluster/index.ts'
import type { Presenter } from '../presentation/index.ts'
import type { Selection } from '../selection/index.ts'
import { Frames, SharedFrames } from './frames.ts'
import { interestOf, startOf, type WatchOptions } from './watch-options.ts'
import { type FrameSink, WatchStream } from './watch-stream.ts'

/** Milliseconds between bookmarks. */
const BOOKMARK_INTERVAL = 60_000
/** Seconds that a watch lasts when its client does not say; a random part spreads the reconnections. */
const SHORTEST_WATCH = 1800

export interface WatchRequest {
  readonly cluster: Cluster
  readonly resource: Resource
  /** Empty for all namespaces, and for kinds without. */
  readonly namespace: string
  readonly selection: Selection
  readonly presenter: Presenter
  readonly options: WatchOptions
}

export class Watches {
  readonly #clock: Clock
  readonly #open = new Set<WatchStream>()
  readonly #shared = new SharedFrames()
  #cancelTick: CancelTimer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Prepares a watch; the returned function starts it on a sink, and gives one that ends it in good order.
   *
   * @throws `BadRequest`, `Invalid` for parameters that make no sense
   */
  prepare(request: WatchRequest): (sink: FrameSink) => () => void {
    const { cluster, resource, selection, presenter, options } = request
    const namespace = request.namespace === '' && resource.namespaced ? undefined : request.namespace
    const start = startOf(cluster, resource, namespace, selection, options)
    const seconds = options.timeoutSeconds ?? SHORTEST_WATCH + randomInt(SHORTEST_WATCH)
    return sink => {
      const stream = new WatchStream({
        cluster,
        resource,
        namespace,
        interest: interestOf(resource, namespace, selection),
        selection,
        frames: new Frames(resource, presenter, this.#shared),
        start,
        bookmarks: options.allowBookmarks,
        timeout: seconds * 1000,
        clock: this.#clock,
        sink,
      })
      this.#open.add(stream)
      this.#schedule()
      stream.start(() => this.#open.delete(stream))
      return () => stream.end()
    }
  }

  /** How many watches are open. */
  get size(): number {
    return this.#open.size
  }

  stop(): void {
    this.#cancelTick?.()
    for (const stream of this.#open) stream.end()
  }

  #schedule(): void {
    this.#cancelTick ??= this.#clock.after(BOOKMARK_INTERVAL, () => {
      this.#cancelTick = undefined
      for (const stream of this.#open) stream.tick()
      if (this.#open.size > 0) this.#schedule()
    })
  }
}
