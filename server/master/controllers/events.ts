/** Removes events an hour after they happened last. */
import { type Clock, ReconcileLoop, type ReconcileResult } from '../../../kit/index.ts'
import { type ClusterClient, EVENTS, type Event, type Frozen, type ObjectName } from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import type { Controller, ControllerOptions } from './controller.ts'

/** Milliseconds. */
const LIFETIME = 60 * 60 * 1000
/** Events removed in one go. */
const BATCH = 200
const KEY = 'expired'

/** Milliseconds since 1970 of the last time that an event happened. */
function lastSeen({ series, lastTimestamp, eventTime, metadata }: Frozen<Event>): number {
  const text = series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? metadata.creationTimestamp
  return Date.parse(text ?? '')
}

interface Living extends ObjectName {
  readonly expiresAt: number
}

export class EventController implements Controller {
  readonly #client: ClusterClient
  readonly #clock: Clock
  readonly #loop: ReconcileLoop<typeof KEY>
  /** In order of expiry: every event that happens again moves to the end. */
  readonly #living = new Map<string, Living>()
  #stopObserving: () => void = () => undefined

  constructor({ client, clock, log }: ControllerOptions) {
    this.#client = client
    this.#clock = clock
    this.#loop = new ReconcileLoop({ name: 'events', reconcile: () => this.#expire(), log, clock })
  }

  async start(): Promise<void> {
    this.#stopObserving = await this.#client.observe(EVENTS, {
      sync: events => {
        const now = this.#clock.now()
        const aged = events.map(event => ({ event, seen: Math.min(now, lastSeen(event) || now) }))
        for (const { event, seen } of aged.toSorted((a, b) => a.seen - b.seen)) this.#note(event, seen)
      },
      // By the moment of the write and not by what the event says: the order must not depend on strange clocks.
      changed: event => this.#note(event, this.#clock.now()),
      removed: ({ metadata }) => this.#living.delete(`${metadata.namespace}/${metadata.name}`),
    })
    this.#loop.start()
  }

  async stop(): Promise<void> {
    this.#stopObserving()
    await this.#loop.stop()
    this.#living.clear()
  }

  #note({ metadata }: Frozen<Event>, seen: number): void {
    const { namespace = '', name } = metadata
    const key = `${namespace}/${name}`
    const wasEmpty = this.#living.size === 0
    this.#living.delete(key)
    this.#living.set(key, { namespace, name, expiresAt: seen + LIFETIME })
    if (wasEmpty) this.#loop.kickAfter(KEY, Math.max(0, seen + LIFETIME - this.#clock.now()))
  }

  async #expire(): Promise<ReconcileResult> {
    const now = this.#clock.now()
    const expired: Living[] = []
    for (const living of this.#living.values()) {
      if (living.expiresAt > now || expired.length === BATCH) break
      expired.push(living)
    }
    await Promise.all(expired.map(event => this.#remove(event)))
    const next = this.#living.values().next().value
    return next && { requeueAfter: Math.max(0, next.expiresAt - this.#clock.now()) }
  }

  async #remove({ namespace, name }: Living): Promise<void> {
    await unlessAbsent(() => this.#client.delete(EVENTS, { namespace, name }))
    this.#living.delete(`${namespace}/${name}`)
  }
}
