/**
 * One watch of a space.
 *
 * It starts in the past, as a revision and nothing else: each time its consumer asks for more, it reads the next piece
 * of history from memory or from the database. When nothing is left to read it joins the live stream in the same
 * turn of the event loop, so that there is neither a gap nor a duplicate between the two; from then on events wait
 * for the consumer in a bounded buffer.
 */
import type { ChangeEvent, Watch } from './contract.ts'
import { storeErrors } from './errors.ts'
import { batchOf, type EventBatch, type EventListener, type WatchFilter } from './watch-hub.ts'

/** A piece of history: every matching event after the revision that was asked for, up to and including `upTo`. */
export interface HistoryPiece {
  readonly events: readonly ChangeEvent[]
  readonly upTo: number
}

/** What a watch needs from its space. */
export interface WatchedSpace {
  readonly name: string
  readonly revision: number
  /** What memory still has after a revision, up to the newest; undefined when the database must be asked. */
  recentHistory(filter: WatchFilter, after: number): HistoryPiece | undefined
  /** @throws `Expired` when some of it is compacted */
  readHistory(filter: WatchFilter, after: number): Promise<HistoryPiece>
  join(watch: SpaceWatch): void
  leave(watch: SpaceWatch): void
}

export interface WatchLimit {
  /** Events that may wait for the consumer. */
  readonly events: number
  /** Bytes of events that may wait for the consumer. */
  readonly bytes: number
}

type State =
  /** `delivered`: everything up to this revision was handed out or did not match. */
  | { readonly type: 'catching up'; delivered: number }
  | { readonly type: 'live' }
  /** What is buffered is still delivered; then the iteration throws the error, or ends without one. */
  | { readonly type: 'over'; readonly delivered: number; readonly error: Error | undefined }

const LIVE: State = { type: 'live' }

type Result = IteratorResult<readonly ChangeEvent[], undefined>

export class SpaceWatch implements Watch, EventListener {
  readonly filter: WatchFilter
  readonly #space: WatchedSpace
  readonly #limit: WatchLimit
  #state: State
  #buffer: EventBatch[] = []
  #bufferedEvents = 0
  #bufferedBytes = 0
  /** What is waited for when nothing is buffered, and what ends the wait. */
  #news: Promise<void> | undefined
  #announce: (() => void) | undefined
  #reading: Promise<void> | undefined

  constructor(space: WatchedSpace, filter: WatchFilter, after: number, limit: WatchLimit) {
    this.#space = space
    this.filter = filter
    this.#limit = limit
    this.#state = { type: 'catching up', delivered: after }
    if (after === space.revision) this.#goLive()
  }

  get revision(): number {
    const oldest = this.#buffer[0]?.events[0]
    if (oldest !== undefined) return oldest.revision - 1
    return this.#state.type === 'live' ? this.#space.revision : this.#state.delivered
  }

  close(): void {
    const delivered = this.revision
    this.#clearBuffer()
    this.#finish(delivered, undefined)
  }

  /** Ends the watch after what is buffered: its space is gone. */
  end(): void {
    this.#finish(this.#state.type === 'live' ? this.#space.revision : this.#state.delivered, undefined)
  }

  /** Breaks the watch: what it would deliver from now on could be wrong. */
  fail(error: Error): void {
    const delivered = this.revision
    this.#clearBuffer()
    this.#finish(delivered, error)
  }

  receive(batch: EventBatch): void {
    this.#append(batch)
    // A batch on its own may be larger than the bound: that says nothing about the consumer.
    const tooMuch = this.#bufferedEvents > this.#limit.events || this.#bufferedBytes > this.#limit.bytes
    if (tooMuch && this.#buffer.length > 1) {
      this.fail(
        storeErrors.Expired({
          object: `watch of ${this.#space.name}`,
          message: `the consumer is too slow: ${this.#bufferedEvents} events wait for it`,
        }),
      )
      return
    }
    this.#wake()
  }

  [Symbol.asyncIterator](): AsyncIterator<readonly ChangeEvent[], undefined> {
    return {
      next: () => this.#next(),
      return: async () => {
        this.close()
        return { done: true, value: undefined }
      },
    }
  }

  async #next(): Promise<Result> {
    for (;;) {
      const batch = this.#buffer.shift()
      if (batch !== undefined) {
        this.#bufferedEvents -= batch.events.length
        this.#bufferedBytes -= batch.bytes
        return { done: false, value: batch.events }
      }
      switch (this.#state.type) {
        case 'over':
          if (this.#state.error !== undefined) throw this.#state.error
          return { done: true, value: undefined }
        case 'live':
          this.#news ??= new Promise(resolve => {
            this.#announce = resolve
          })
          await this.#news
          break
        case 'catching up':
          this.#reading ??= this.#catchUp(this.#state)
          await this.#reading
      }
    }
  }

  /** Puts the next piece of history into the buffer, and joins the live stream behind the last one. */
  async #catchUp(state: State & { type: 'catching up' }): Promise<void> {
    try {
      const piece =
        this.#space.recentHistory(this.filter, state.delivered) ??
        (await this.#space.readHistory(this.filter, state.delivered))
      // It may have been closed, or its space deleted, while the database was reading.
      if (this.#state !== state) return
      if (piece.events.length > 0) this.#append(batchOf(piece.events))
      state.delivered = piece.upTo
      if (piece.upTo === this.#space.revision) this.#goLive()
    } catch (error) {
      if (this.#state === state) this.fail(error instanceof Error ? error : new Error(String(error)))
    } finally {
      this.#reading = undefined
    }
  }

  #goLive(): void {
    this.#state = LIVE
    this.#space.join(this)
  }

  #finish(delivered: number, error: Error | undefined): void {
    if (this.#state.type === 'over') return
    this.#state = { type: 'over', delivered, error }
    this.#space.leave(this)
    this.#wake()
  }

  #append(batch: EventBatch): void {
    this.#buffer.push(batch)
    this.#bufferedEvents += batch.events.length
    this.#bufferedBytes += batch.bytes
  }

  #clearBuffer(): void {
    this.#buffer = []
    this.#bufferedEvents = 0
    this.#bufferedBytes = 0
  }

  #wake(): void {
    this.#announce?.()
    this.#announce = undefined
    this.#news = undefined
  }
}
