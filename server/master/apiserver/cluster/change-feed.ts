/**
 * The changes of one cluster, fanned out in memory.
 *
 * One watch of the store feeds everybody. Subscribers who want few objects register under what those objects have in
 * common (their name, their namespace, the node of pods), so that a change costs only those whom it may concern,
 * however many watch: with 10,000 agents each watching its own pods, one of them is called.
 */
import { explainError, type Logger } from '../../../../kit/index.ts'
import type { ChangeEvent, ObjectKey, Space, StoredObject } from '../../../store/index.ts'

/** The events of one kind that are remembered, for watches that begin a little in the past. */
const REMEMBERED = 128

/** What a subscriber's objects have in common. Exactly one is the narrowest that the feed knows to tell apart. */
export type Interest =
  | { readonly type: 'all' }
  | { readonly type: 'namespace'; readonly namespace: string }
  | { readonly type: 'name'; readonly namespace: string; readonly name: string }
  | { readonly type: 'field'; readonly value: string }

export interface Subscriber {
  /**
   * Called in order of revision; the first calls may repeat what the subscriber has seen already. Must not throw, and
   * must not take long.
   */
  receive(event: ChangeEvent): void
  /** Nothing more will come: the cluster is gone or being opened anew. */
  end(): void
}

/** The one field of a kind that interests may name. */
export type IndexedField = (kind: string) => ((object: StoredObject) => string) | undefined

export function keyOf(event: ChangeEvent): ObjectKey {
  return event.type === 'deleted' ? event.previous.key : event.object.key
}

function bucketOf(interest: Interest): string {
  switch (interest.type) {
    case 'all':
      return '*'
    case 'namespace':
      return `n ${interest.namespace}`
    case 'name':
      return `o ${interest.namespace} ${interest.name}`
    case 'field':
      return `f ${interest.value}`
  }
}

/** Subscribers and recent events of one kind. */
class KindFeed {
  readonly #buckets = new Map<string, Set<Subscriber>>()
  readonly #indexed: ((object: StoredObject) => string) | undefined
  readonly #onFailure: (error: unknown, event: ChangeEvent) => void
  #fieldSubscribers = 0
  #recent: ChangeEvent[] = []
  /** The recent events are all there were after this revision. */
  #completeAfter: number

  constructor(
    revision: number,
    indexed: ((object: StoredObject) => string) | undefined,
    onFailure: (error: unknown, event: ChangeEvent) => void,
  ) {
    this.#completeAfter = revision
    this.#indexed = indexed
    this.#onFailure = onFailure
  }

  after(revision: number): ChangeEvent[] | undefined {
    if (revision < this.#completeAfter) return undefined
    return this.#recent.filter(event => event.revision > revision)
  }

  add(interest: Interest, subscriber: Subscriber): void {
    const bucket = bucketOf(interest)
    const present = this.#buckets.get(bucket)
    if (present === undefined) this.#buckets.set(bucket, new Set([subscriber]))
    else present.add(subscriber)
    if (interest.type === 'field') this.#fieldSubscribers += 1
  }

  remove(interest: Interest, subscriber: Subscriber): void {
    const bucket = bucketOf(interest)
    const present = this.#buckets.get(bucket)
    if (present?.delete(subscriber) !== true) return
    if (present.size === 0) this.#buckets.delete(bucket)
    if (interest.type === 'field') this.#fieldSubscribers -= 1
  }

  dispatch(event: ChangeEvent): void {
    this.#remember(event)
    if (this.#buckets.size === 0) return
    const { namespace, name } = keyOf(event)
    this.#tell('*', event)
    this.#tell(`n ${namespace}`, event)
    this.#tell(`o ${namespace} ${name}`, event)
    if (this.#fieldSubscribers > 0) this.#tellByField(event)
  }

  end(): void {
    for (const subscribers of this.#buckets.values()) for (const subscriber of subscribers) subscriber.end()
    this.#buckets.clear()
    this.#recent = []
  }

  #tellByField(event: ChangeEvent): void {
    const read = this.#indexed
    if (read === undefined) return
    const before = event.type === 'created' ? undefined : read(event.previous)
    const after = event.type === 'deleted' ? undefined : read(event.object)
    if (after !== undefined) this.#tell(`f ${after}`, event)
    // Who watched the old value has to learn that the object left.
    if (before !== undefined && before !== after) this.#tell(`f ${before}`, event)
  }

  #tell(bucket: string, event: ChangeEvent): void {
    for (const subscriber of this.#buckets.get(bucket) ?? []) {
      try {
        subscriber.receive(event)
      } catch (error) {
        // One that fails must not take the changes away from all others.
        this.#onFailure(error, event)
      }
    }
  }

  #remember(event: ChangeEvent): void {
    this.#recent.push(event)
    if (this.#recent.length <= REMEMBERED * 2) return
    const dropped = this.#recent.splice(0, REMEMBERED)
    this.#completeAfter = dropped.at(-1)?.revision ?? this.#completeAfter
  }
}

export class ChangeFeed {
  readonly #space: Space
  readonly #indexed: IndexedField
  readonly #log: Logger
  readonly #kinds = new Map<string, KindFeed>()
  #revision: number
  #ended = false
  #close: (() => void) | undefined

  /** @param indexed the field by which subscribers of a kind may be told apart */
  constructor(space: Space, indexed: IndexedField, log: Logger) {
    this.#space = space
    this.#indexed = indexed
    this.#log = log
    this.#revision = space.revision
  }

  /** Everything up to this revision was dispatched. */
  get revision(): number {
    return this.#revision
  }

  get ended(): boolean {
    return this.#ended
  }

  /**
   * Dispatches until the space ends or `stop` is called; then every subscriber's `end` is called.
   *
   * Failures of the watch are ends too: who still needs changes starts again from what is there then.
   */
  async run(): Promise<void> {
    try {
      const watch = this.#space.watch({ after: this.#revision })
      this.#close = () => watch.close()
      for await (const events of watch) {
        for (const event of events) this.#dispatch(event)
        this.#revision = Math.max(this.#revision, watch.revision)
      }
    } catch (error) {
      this.#log.warn({ space: this.#space.id, reason: explainError(error) }, 'the feed of changes broke')
    } finally {
      this.#ended = true
      for (const kind of this.#kinds.values()) kind.end()
      this.#kinds.clear()
    }
  }

  stop(): void {
    this.#close?.()
  }

  /**
   * Subscribes to every change of `kind` after `after` that may concern `interest`.
   *
   * @returns the changes between `after` and now, to be handled first; undefined, having subscribed nobody, when the
   *   feed does not remember that far
   */
  subscribe(
    kind: string,
    interest: Interest,
    after: number,
    subscriber: Subscriber,
  ): readonly ChangeEvent[] | undefined {
    if (this.#ended) return undefined
    const feed = this.#kind(kind)
    const missed = feed.after(after)
    if (missed !== undefined) feed.add(interest, subscriber)
    return missed
  }

  unsubscribe(kind: string, interest: Interest, subscriber: Subscriber): void {
    this.#kinds.get(kind)?.remove(interest, subscriber)
  }

  #kind(kind: string): KindFeed {
    let feed = this.#kinds.get(kind)
    if (feed === undefined) {
      feed = new KindFeed(this.#revision, this.#indexed(kind), (error, event) =>
        this.#log.error(
          { err: error, space: this.#space.id, object: keyOf(event) },
          'a change was not handled',
        ),
      )
      this.#kinds.set(kind, feed)
    }
    return feed
  }

  #dispatch(event: ChangeEvent): void {
    this.#revision = event.revision
    this.#kinds.get(keyOf(event).kind)?.dispatch(event)
  }
}
