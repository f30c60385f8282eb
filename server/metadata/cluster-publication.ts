/** The metadata model of one cluster as its agents get it. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Clock, explainError, type Logger } from '../../kit/index.ts'
import { type MetadataObject, metadataObject } from '../../protocol/index.ts'
import type { AffectedObject } from './affected-objects.ts'
import type { ChangeHistory } from './change-history.ts'
import type { ShownKind } from './convert.ts'
import { FullSynchronization } from './full-synchronization.ts'
import { stepMessages } from './messages.ts'

/** Objects that are converted in one turn of the event loop. */
const SLICE = 250

/** A full synchronisation is shared with those who come later while it is at most so many revisions old, */
const SHARED_AGE = 1_000
/** and kept for so many milliseconds after somebody asked for it: agents come back in crowds. */
const SHARED_TIME = 5_000

/** What leads from one sequence to the publication's. */
export interface Difference {
  readonly messages: readonly string[]
  /** Nothing changed; the message only moves its receiver. */
  readonly empty: boolean
}

export interface ClusterPublicationOptions {
  readonly generation: string
  readonly history: ChangeHistory
  readonly convert: (kind: ShownKind, id: string) => MetadataObject | undefined
  readonly log: Logger
  readonly clock: Clock
}

export class ClusterPublication {
  #generation: string
  readonly #options: ClusterPublicationOptions
  /** uuid → JSON of the object, encoded once for every message it is in. */
  readonly #objects = new Map<string, string>()
  readonly #differences = new Map<string, Difference | undefined>()
  #pending = new Map<string, AffectedObject>()
  #sequence: number | undefined
  #full: FullSynchronization | undefined
  /** By the monotonic clock. */
  #fullAskedAt = 0

  constructor(options: ClusterPublicationOptions) {
    this.#generation = options.generation
    this.#options = options
  }

  /** Of the copies that are sent from now on. */
  get generation(): string {
    return this.#generation
  }

  /** Begins another generation: copies of the one before stay current until they are replaced. */
  rename(generation: string): void {
    this.#generation = generation
    this.#full = undefined
  }

  /** The revision up to which every change is in the model; undefined before it was built. */
  get sequence(): number | undefined {
    return this.#sequence
  }

  /** Has an object looked at by the next `cut`. */
  mark(object: AffectedObject, revision: number): void {
    this.#pending.set(object.uuid, object)
    // Before there is anything to compare with, everything counts as changed.
    if (this.#sequence === undefined) this.#options.history.note(revision, object.uuid)
  }

  /**
   * Takes in what was marked, and with that every change up to `revision`; the first time, all `objects`.
   *
   * @param objects what the cluster has; asked only once
   */
  async cut(revision: number, objects: () => readonly { kind: ShownKind; id: string }[]): Promise<void> {
    // What is marked from now on may not be in the model yet: it is for the next cut.
    const pending = this.#pending
    this.#pending = new Map()
    if (this.#sequence === undefined) await this.#build(objects())
    else await this.#takeIn(pending, revision)
    if (this.#sequence === revision) return
    this.#sequence = revision
    this.#differences.clear()
  }

  /** Says what changed to the history, which outlives this object. */
  abandon(revision: number): void {
    for (const uuid of this.#pending.keys()) this.#options.history.note(revision, uuid)
    this.#pending.clear()
  }

  /** What changed after `from`, for copies of that generation; undefined when that is not known, and only everything helps. */
  differenceSince(from: number, generation: string): Difference | undefined {
    const key = `${from} ${generation}`
    if (!this.#differences.has(key)) this.#differences.set(key, this.#difference(from, generation))
    return this.#differences.get(key)
  }

  /** The whole model; callers `use` and `release` it. */
  fullSynchronization(): FullSynchronization {
    const sequence = this.#sequence ?? 0
    this.#fullAskedAt = this.#options.clock.monotonic()
    const present = this.#full
    const young = present !== undefined && sequence - present.sequence <= SHARED_AGE
    // Whoever has it must be able to learn what changed since.
    if (young && this.#options.history.knowsSince(present.sequence)) return present
    this.#full = new FullSynchronization(this.#generation, sequence, this.#objects)
    return this.#full
  }

  /**
   * Lets go of a full synchronisation that nobody asked for lately.
   *
   * @returns milliseconds after which it is worth another look
   */
  forgetUnused(): number | undefined {
    if (this.#full === undefined) return undefined
    const remaining = this.#fullAskedAt + SHARED_TIME - this.#options.clock.monotonic()
    if (this.#full.inUse || remaining > 0) return Math.max(remaining, SHARED_TIME / 10)
    this.#full = undefined
    return undefined
  }

  #difference(from: number, generation: string): Difference | undefined {
    const sequence = this.#sequence ?? 0
    const uuids = from > sequence ? undefined : this.#options.history.since(from)
    if (uuids === undefined) return undefined
    const updates: string[] = []
    const removes: string[] = []
    for (const uuid of uuids) {
      const text = this.#objects.get(uuid)
      if (text === undefined) removes.push(uuid)
      else updates.push(text)
    }
    return {
      messages: stepMessages({ generation, from, sequence, updates, removes }),
      empty: uuids.size === 0,
    }
  }

  async #build(objects: readonly { kind: ShownKind; id: string }[]): Promise<void> {
    for (const [index, { kind, id }] of objects.entries()) {
      if (index % SLICE === SLICE - 1) await nextTurn()
      const shown = this.#options.convert(kind, id)
      const text = this.#encode(shown)
      if (shown !== undefined && text !== undefined) this.#objects.set(shown.uuid, text)
    }
  }

  async #takeIn(pending: ReadonlyMap<string, AffectedObject>, revision: number): Promise<void> {
    let count = 0
    for (const { kind, id, uuid } of pending.values()) {
      count += 1
      if (count % SLICE === 0) await nextTurn()
      const text = this.#encode(this.#options.convert(kind, id))
      if (text === this.#objects.get(uuid)) continue
      if (text === undefined) this.#objects.delete(uuid)
      else this.#objects.set(uuid, text)
      this.#options.history.note(revision, uuid)
    }
  }

  /** An object that agents would refuse would cut all of them off; it is left out instead. */
  #encode(object: MetadataObject | undefined): string | undefined {
    if (object === undefined) return undefined
    try {
      return JSON.stringify(metadataObject.parse(object, `${object.infoType} ${object.name}`))
    } catch (error) {
      this.#options.log.warn(
        { object: `${object.infoType} ${object.uuid}`, reason: explainError(error) },
        'an object does not fit the metadata model and is left out',
      )
      return undefined
    }
  }
}
