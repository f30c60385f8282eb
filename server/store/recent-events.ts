/** The newest events of one space, in memory, so that watches that come back soon need no database. */
import type { ChangeEvent } from './contract.ts'

/** What an event costs besides the JSON it holds, in bytes: the event, its objects and their keys. */
const EVENT_OVERHEAD = 200

/** Bytes of memory that an event keeps, counting JSON as one byte per character. */
export function eventSize(event: ChangeEvent): number {
  const next = event.type === 'deleted' ? 0 : event.object.json.length
  const previous = event.type === 'created' ? 0 : event.previous.json.length
  return EVENT_OVERHEAD + next + previous
}

export interface RecentEventsLimit {
  readonly events: number
  readonly bytes: number
}

/** Events of contiguous revisions; the oldest go when a bound is passed. */
export class RecentEvents {
  readonly #limit: RecentEventsLimit
  /** Undefined before the head, so that a dropped event is free before its slot is. */
  #events: (ChangeEvent | undefined)[] = []
  #head = 0
  #bytes = 0

  constructor(limit: RecentEventsLimit) {
    this.#limit = limit
  }

  /** `event` has the revision that follows the newest one here. */
  push(event: ChangeEvent): void {
    this.#events.push(event)
    this.#bytes += eventSize(event)
    while (this.#size > this.#limit.events || (this.#bytes > this.#limit.bytes && this.#size > 0))
      this.#drop()
    this.#shrink()
  }

  /** Forgets every event up to and including `revision`. */
  forget(revision: number): void {
    for (let oldest = this.#events[this.#head]; oldest !== undefined && oldest.revision <= revision; ) {
      this.#drop()
      oldest = this.#events[this.#head]
    }
    this.#shrink()
  }

  /** Every event after `revision`, given that it is not newer than the newest; undefined when some are gone. */
  after(revision: number): readonly ChangeEvent[] | undefined {
    const oldest = this.#events[this.#head]
    if (oldest === undefined || oldest.revision > revision + 1) return undefined
    const from = this.#head + revision + 1 - oldest.revision
    return this.#events.slice(from).filter(event => event !== undefined)
  }

  get #size(): number {
    return this.#events.length - this.#head
  }

  #drop(): void {
    const oldest = this.#events[this.#head]
    if (oldest === undefined) return
    this.#bytes -= eventSize(oldest)
    this.#events[this.#head] = undefined
    this.#head += 1
  }

  // Shifting the array for every event would be quadratic; dropped events stay until half of it is behind the head.
  #shrink(): void {
    if (this.#head > 0 && this.#head * 2 >= this.#events.length) {
      this.#events = this.#events.slice(this.#head)
      this.#head = 0
    }
  }
}
