/**
 * One watch: the state it begins with, then every change, as a stream of JSON lines.
 *
 * A watch that begins in the past reads the store's history at the pace of its client. When it has come close enough to
 * the present it joins the cluster's feed, where changes wait in a bounded queue for a client that is slow for a
 * moment; one that stays slow loses its connection and starts again from its last revision.
 */
import { type CancelTimer, type Clock, isDroverError } from '../../../../kit/index.ts'
import type { ChangeEvent, StoredObject, Watch } from '../../../store/index.ts'
import type { Resource } from '../catalog/index.ts'
import type { Cluster, Interest, Subscriber } from '../cluster/index.ts'
import type { Selection } from '../selection/index.ts'
import { expired, type StatusError, tooLargeResourceVersion, toStatusError } from '../status.ts'
import { type Delivery, deliveryOf, errorFrame, type Frames } from './frames.ts'

/** Changes that may wait for a slow client. */
const QUEUE_LIMIT = 4096
/** Bytes of objects that may wait for a slow client. */
const QUEUE_BYTES_LIMIT = 16 * 1024 * 1024
/** Frames of a burst are sent together up to this many bytes. */
const WRITE_SIZE = 64 * 1024

/** Where the stream goes: the part of an HTTP response that it needs. */
export interface FrameSink {
  /** Returns false when the client does not keep up; `drain` follows. */
  write(frame: Buffer): boolean
  end(): void
  destroy(): void
  on(event: 'drain' | 'close', listener: () => void): unknown
}

export interface WatchStart {
  /** Objects to be told first; undefined for a watch that only wants changes. */
  readonly initial: readonly StoredObject[] | undefined
  /** Changes after this revision follow. */
  readonly after: number
  /** Whether a bookmark says that the initial objects are complete. */
  readonly markInitialEnd: boolean
}

export interface WatchStreamOptions {
  readonly cluster: Cluster
  readonly resource: Resource
  /** Undefined for all namespaces. */
  readonly namespace: string | undefined
  readonly interest: Interest
  readonly selection: Selection
  readonly frames: Frames
  readonly start: WatchStart
  readonly bookmarks: boolean
  /** Milliseconds after which the watch ends. */
  readonly timeout: number
  readonly clock: Clock
  readonly sink: FrameSink
}

interface Waiting {
  readonly event: ChangeEvent
  readonly delivery: Delivery
  /** Whether a frame can be made of it. */
  isReady: boolean
}

function* initialFrames(objects: readonly StoredObject[], frames: Frames): Generator<Buffer> {
  for (const object of objects) yield frames.initial(object)
}

export class WatchStream implements Subscriber {
  readonly #options: WatchStreamOptions
  readonly #kind: string
  #initial: Generator<Buffer> | undefined
  #isInitialReady: boolean
  #preparing = false
  #queue: Waiting[] = []
  #queueBytes = 0
  /** Every change up to this revision was received, or did not concern this watch. */
  #position: number
  #blocked = false
  #drained: PromiseWithResolvers<void> | undefined
  #subscribed = false
  #history: Watch | undefined
  #cancelTimeout: CancelTimer | undefined
  #over = false

  constructor(options: WatchStreamOptions) {
    this.#options = options
    this.#kind = options.resource.kept.storeKind
    const { initial, after } = options.start
    this.#isInitialReady = initial === undefined || !options.frames.converts
    this.#initial = initial === undefined ? undefined : initialFrames(initial, options.frames)
    this.#position = after
  }

  /** Starts; `onOver` is called once, when nothing more will be written. */
  start(onOver: () => void): void {
    const { sink, clock, timeout } = this.#options
    sink.on('close', () => {
      this.#finish()
      onOver()
    })
    sink.on('drain', () => {
      this.#blocked = false
      this.#pump()
    })
    this.#cancelTimeout = clock.after(timeout, () => {
      this.tick()
      this.end()
    })
    this.#pump()
    this.#attach()
  }

  receive(event: ChangeEvent): void {
    if (this.#over || event.revision <= this.#position) return
    this.#position = event.revision
    const { cluster, selection } = this.#options
    const delivery = deliveryOf(event, selection, cluster)
    if (delivery === undefined) return
    this.#queue.push({ event, delivery, isReady: !this.#options.frames.converts })
    this.#queueBytes += delivery.object.json.length
    if (this.#subscribed && (this.#queue.length > QUEUE_LIMIT || this.#queueBytes > QUEUE_BYTES_LIMIT)) {
      this.#options.sink.destroy()
      this.#finish()
      return
    }
    this.#pump()
  }

  /** Tells the client how far it is, if it wants to know; that also shows it that the connection is alive. */
  tick(): void {
    const { bookmarks, cluster, frames } = this.#options
    if (this.#over || !bookmarks || this.#initial !== undefined || this.#queue.length > 0) return
    if (this.#subscribed) this.#position = Math.max(this.#position, cluster.feed.revision)
    this.#write(frames.bookmark(this.#position, false))
  }

  /** Ends the stream in good order; the client starts again where it is. */
  end(): void {
    if (this.#over) return
    this.#finish()
    this.#options.sink.end()
  }

  #fail(error: StatusError): void {
    if (this.#over) return
    this.#options.sink.write(errorFrame(error))
    this.end()
  }

  #finish(): void {
    if (this.#over) return
    this.#over = true
    this.#cancelTimeout?.()
    this.#history?.close()
    this.#drained?.resolve()
    this.#queue = []
    this.#initial = undefined
    const { cluster, interest } = this.#options
    if (this.#subscribed) cluster.feed.unsubscribe(this.#kind, interest, this)
  }

  /** Joins the feed, or follows the history until it can. */
  #attach(): void {
    const { space, feed } = this.#options.cluster
    if (this.#position > space.revision) {
      this.#fail(tooLargeResourceVersion(this.#position, space.revision))
      return
    }
    if (this.#over || this.#subscribe()) return
    if (feed.ended) {
      this.end()
      return
    }
    this.#followHistory().catch(error => this.#fail(toStatusError(error)))
  }

  #subscribe(): boolean {
    const { cluster, interest } = this.#options
    const missed = cluster.feed.subscribe(this.#kind, interest, this.#position, this)
    if (missed === undefined) return false
    this.#subscribed = true
    for (const event of missed) this.receive(event)
    return true
  }

  async #followHistory(): Promise<void> {
    const { cluster, namespace } = this.#options
    const filter = namespace === undefined ? { kind: this.#kind } : { kind: this.#kind, namespace }
    try {
      this.#history = cluster.space.watch({ ...filter, after: this.#position })
      for await (const events of this.#history) {
        for (const event of events) this.receive(event)
        if (this.#over) return
        this.#position = Math.max(this.#position, this.#history.revision)
        if (this.#subscribe()) return
        await this.#caughtUp()
      }
      this.end()
    } catch (error) {
      throw this.#historyError(error)
    } finally {
      this.#history?.close()
      this.#history = undefined
    }
  }

  #historyError(error: unknown): unknown {
    const { space } = this.#options.cluster
    if (isDroverError(error, 'Expired')) {
      return expired(`too old resource version: ${this.#position} (${space.compactedRevision})`)
    }
    return error
  }

  /** Waits until the client has read everything. */
  async #caughtUp(): Promise<void> {
    while (!this.#over && this.#queue.length > 0) {
      this.#drained ??= Promise.withResolvers<void>()
      await this.#drained.promise
    }
  }

  /** Writes what there is, as long as the client keeps up. */
  #pump(): void {
    if (this.#options.frames.converts) this.#prepare()
    while (!this.#over && !this.#blocked) {
      const frames = this.#nextFrames()
      if (frames.length === 0) break
      this.#write(frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames))
    }
    if (this.#queue.length === 0) {
      this.#drained?.resolve()
      this.#drained = undefined
    }
  }

  /** Brings what waits into the client's version, as much as there is at a time. */
  #prepare(): void {
    if (this.#over || this.#preparing) return
    const { start, frames } = this.#options
    const initial = this.#isInitialReady ? [] : (start.initial ?? [])
    const waiting = this.#queue.filter(({ isReady }) => !isReady)
    if (this.#isInitialReady && waiting.length === 0) return
    this.#preparing = true
    frames.prepare([...initial, ...waiting.map(({ delivery }) => delivery.object)]).then(
      () => {
        this.#preparing = false
        this.#isInitialReady = true
        for (const each of waiting) each.isReady = true
        this.#pump()
      },
      error => this.#fail(toStatusError(error)),
    )
  }

  #nextFrames(): Buffer[] {
    if (!this.#isInitialReady) return []
    const frames: Buffer[] = []
    let size = 0
    while (size < WRITE_SIZE) {
      const frame = this.#nextInitial() ?? this.#nextChange()
      if (frame === undefined) break
      frames.push(frame)
      size += frame.length
    }
    return frames
  }

  #nextInitial(): Buffer | undefined {
    if (this.#initial === undefined) return undefined
    const { value } = this.#initial.next()
    if (value !== undefined) return value
    this.#initial = undefined
    const { start, frames } = this.#options
    return start.markInitialEnd ? frames.bookmark(start.after, true) : undefined
  }

  #nextChange(): Buffer | undefined {
    if (this.#queue[0]?.isReady !== true) return undefined
    const waiting = this.#queue.shift()
    if (waiting === undefined) return undefined
    this.#queueBytes -= waiting.delivery.object.json.length
    return this.#options.frames.change(waiting.event, waiting.delivery)
  }

  #write(frame: Buffer): void {
    if (!this.#options.sink.write(frame)) this.#blocked = true
  }
}
