/**
 * Follows one kind of the cluster's objects, keeps of each what this host needs, and keeps the last that was known on
 * disk: it counts also when no server can be asked.
 */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import {
  type CancelTimer,
  type Clock,
  explainError,
  type Logger,
  readJsonFile,
  type Static,
  systemClock,
  type TSchema,
  Type,
  validatorOf,
  writeFileDurably,
} from '../../kit/index.ts'
import {
  Informer,
  type KubernetesClient,
  type KubernetesObject,
  type ResourcePath,
} from '../../protocol/kubernetes/index.ts'

export interface Named {
  readonly namespace: string
  readonly name: string
}

/** Where a kind is found, and what is kept of it. */
export interface CollectionKind<T extends KubernetesObject, Schema extends TSchema> {
  /** For people, and the name of the file: `services`. */
  readonly name: string
  readonly path: ResourcePath
  /** Which of them alone: selectors. */
  readonly query?: Readonly<Record<string, string>>
  readonly schema: Schema
  /** Undefined for objects of which nothing is kept. */
  readonly recordOf: (object: T) => Static<Schema> | undefined
  /** Milliseconds for which changes are collected before they are written. */
  readonly writeDelay: number
}

export interface CollectionOptions {
  readonly client: KubernetesClient
  /** Exists. */
  readonly directory: string
  readonly log: Logger
  readonly clock: Clock | undefined
}

/** What those who follow a kind need of it. */
export interface Followed<R> {
  /** Whether the records were everything that there is, at some time. */
  readonly ready: boolean
  /** Calls `listener` for every record that came, changed or went. @returns ends that */
  onChange(listener: (record: R | undefined, previous: R | undefined) => void): () => void
  /** Calls `listener` when `ready` becomes true. @returns ends that */
  onReady(listener: () => void): () => void
}

/** Records of one kind: more than the largest clusters have pods. */
const RECORD_LIMIT = 200_000

type ChangeListener<R> = (record: R | undefined, previous: R | undefined) => void

export class FollowedCollection<T extends KubernetesObject, Schema extends TSchema>
  implements Followed<Static<Schema> & Named>
{
  readonly #kind: CollectionKind<T, Schema>
  readonly #options: CollectionOptions
  readonly #records = new Map<string, Static<Schema> & Named>()
  readonly #listeners = new Set<ChangeListener<Static<Schema> & Named>>()
  readonly #record
  readonly #file
  readonly #readyListeners = new Set<() => void>()
  #ready = false
  #informer: Informer<T, KubernetesObject> | undefined
  #timer: CancelTimer | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(kind: CollectionKind<T, Schema>, options: CollectionOptions) {
    this.#kind = kind
    this.#options = options
    this.#record = validatorOf(kind.schema)
    this.#file = validatorOf(Type.Array(kind.schema))
  }

  get ready(): boolean {
    return this.#ready
  }

  get size(): number {
    return this.#records.size
  }

  values(): IterableIterator<Static<Schema> & Named> {
    return this.#records.values()
  }

  onChange(listener: ChangeListener<Static<Schema> & Named>): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  onReady(listener: () => void): () => void {
    this.#readyListeners.add(listener)
    return () => this.#readyListeners.delete(listener)
  }

  /** Reads what was kept. A file that makes no sense is left out: the server will say what there is. */
  async load(): Promise<void> {
    try {
      const kept = await readJsonFile(this.#path, this.#file)
      if (kept === undefined) return
      for (const record of kept as (Static<Schema> & Named)[]) this.#show(keyOf(record), record)
      this.#becomeReady()
    } catch (error) {
      this.#options.log.warn(
        { err: error },
        `kept ${this.#kind.name} of the cluster were not understood: ${explainError(error)}`,
      )
    }
  }

  /** Begins to follow; does nothing while it does already. */
  async start(): Promise<void> {
    if (this.#informer !== undefined) return
    const { client, log } = this.#options
    const { path: place, query } = this.#kind
    const informer = new Informer<T, KubernetesObject>({
      client,
      path: place,
      ...(query === undefined ? {} : { query }),
      log,
      // The records are kept here; the informer needs to know versions alone.
      keep: ({ metadata: { namespace = '', name, resourceVersion = '' } }) => ({
        metadata: { namespace, name, resourceVersion },
      }),
      onChange: (object, previous) => {
        if (object !== undefined) this.#take(object)
        else if (previous !== undefined) this.#put(keyOf(previous.metadata), undefined)
      },
      onSynchronized: () => this.#forget(informer),
    })
    this.#informer = informer
    await informer.start()
  }

  /** Ends following; the last that was known still counts, and is on disk when this resolves. */
  async stop(): Promise<void> {
    const informer = this.#informer
    this.#informer = undefined
    await informer?.stop()
    if (this.#timer !== undefined) this.#write()
    await this.#writing
  }

  /** Ends following and forgets what was known, on disk too. */
  async clear(): Promise<void> {
    const informer = this.#informer
    this.#informer = undefined
    await informer?.stop()
    for (const key of [...this.#records.keys()]) this.#put(key, undefined)
    this.#ready = false
    this.#timer?.()
    this.#timer = undefined
    await this.#writing
    await rm(this.#path, { force: true })
  }

  get #path(): string {
    return path.join(this.#options.directory, `${this.#kind.name}.json`)
  }

  #take(object: T): void {
    const key = keyOf(object.metadata)
    const what = `${this.#kind.name} ${key}`
    try {
      const record = this.#kind.recordOf(object)
      this.#put(
        key,
        record === undefined ? undefined : (this.#record.parse(record, what) as Static<Schema> & Named),
      )
    } catch (error) {
      // What was known of it before is better than nothing.
      this.#options.log.warn({ err: error }, `${what} was not understood: ${explainError(error)}`)
    }
  }

  /** Those that were kept and that there are none of any more. */
  #forget(informer: Informer<T, KubernetesObject>): void {
    for (const { namespace, name } of [...this.#records.values()]) {
      if (informer.get(namespace, name) === undefined) this.#put(`${namespace}/${name}`, undefined)
    }
    this.#becomeReady()
  }

  #becomeReady(): void {
    if (this.#ready) return
    this.#ready = true
    for (const listener of this.#readyListeners) listener()
  }

  #put(key: string, record: (Static<Schema> & Named) | undefined): void {
    if (this.#show(key, record)) {
      const { clock = systemClock } = this.#options
      this.#timer ??= clock.after(this.#kind.writeDelay, () => this.#write())
    }
  }

  /** @returns whether that is news */
  #show(key: string, record: (Static<Schema> & Named) | undefined): boolean {
    const previous = this.#records.get(key)
    if (isDeepStrictEqual(record, previous)) return false
    if (record === undefined) this.#records.delete(key)
    else if (previous === undefined && this.#records.size >= RECORD_LIMIT) {
      this.#options.log.error(
        { limit: RECORD_LIMIT },
        `left out ${this.#kind.name} ${key}: there are too many`,
      )
      return false
    } else this.#records.set(key, record)
    for (const listener of this.#listeners) listener(record, previous)
    return true
  }

  #write(): void {
    this.#timer?.()
    this.#timer = undefined
    this.#writing = this.#writing.then(() => this.#writeNow())
  }

  async #writeNow(): Promise<void> {
    try {
      await writeFileDurably(this.#path, JSON.stringify([...this.#records.values()]))
    } catch (error) {
      this.#options.log.warn(
        { err: error },
        `${this.#kind.name} of the cluster were not written to disk: ${explainError(error)}`,
      )
    }
  }
}

function keyOf({ namespace = '', name }: { readonly namespace?: string; readonly name: string }): string {
  return `${namespace}/${name}`
}
