/** A local copy of a resource, kept current by list and watch. */
import { Backoff, type Daemon, isDroverError, type Logger, sleep } from '../../kit/index.ts'
import type { KubernetesClient, ResourcePath } from './client.ts'
import type { KubernetesObject } from './types.ts'

export interface InformerOptions<T extends KubernetesObject, Kept extends KubernetesObject = T> {
  readonly client: Pick<KubernetesClient, 'list' | 'watch'>
  /** The collection: `/api/v1/pods`. */
  readonly path: ResourcePath
  readonly query?: Readonly<Record<string, string>>
  readonly log: Logger
  /** What of an object is kept in memory, with namespace, name and resourceVersion at least; all of it when absent. */
  readonly keep?: (object: T) => Kept
  /**
   * Called for every object that appeared, changed or went; `undefined` stands for "not there". The previous one is what
   * was kept of it.
   */
  readonly onChange: (object: T | undefined, previous: Kept | undefined) => void
  /** Called after every complete list, when the copy is known to hold everything. */
  readonly onSynchronized?: () => void
}

/** The server ends watches after this many seconds; they are resumed where they stood. */
const WATCH_SECONDS = 300
/** Bookmarks come at least once a minute; longer silence means a dead connection. Milliseconds. */
const WATCH_SILENCE = 90_000
const LIST_PAGE = 1000
/** Milliseconds: a watch that ended sooner was not meant to. */
const SHORT_WATCH = 1_000

export class Informer<T extends KubernetesObject, Kept extends KubernetesObject = T> implements Daemon {
  readonly name: string
  readonly #options: InformerOptions<T, Kept>
  readonly #objects = new Map<string, Kept>()
  readonly #abort = new AbortController()
  readonly #backoff = new Backoff({ initial: 100, maximum: 3_000, jitter: 0.5 })
  #revision: string | undefined
  #synchronized = false
  #running: Promise<void> = Promise.resolve()

  constructor(options: InformerOptions<T, Kept>) {
    this.#options = options
    this.name = `informer ${options.path}`
  }

  /** Whether a complete list has been seen since the start. */
  get synchronized(): boolean {
    return this.#synchronized
  }

  /** Begins to follow; resolves at once, `onSynchronized` tells when the copy is complete. */
  start(): Promise<void> {
    this.#running = this.#follow()
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    this.#abort.abort(new Error(`${this.name} stopped`))
    await this.#running
  }

  get(namespace: string, name: string): Kept | undefined {
    return this.#objects.get(`${namespace}/${name}`)
  }

  values(): IterableIterator<Kept> {
    return this.#objects.values()
  }

  async #follow(): Promise<void> {
    const { signal } = this.#abort
    while (!signal.aborted) {
      try {
        if (this.#revision === undefined) await this.#list()
        const begin = performance.now()
        await this.#watch()
        // A server that ends watches at once would otherwise be asked without a pause.
        if (performance.now() - begin < SHORT_WATCH) await sleep(this.#backoff.next(), signal)
      } catch (error) {
        if (signal.aborted) return
        if (isDroverError(error, 'Expired') || isDroverError(error, 'Gone')) this.#revision = undefined
        const delay = this.#backoff.next()
        this.#options.log.debug({ err: error, path: this.#options.path, retryIn: delay }, 'watch interrupted')
        await sleep(delay, signal).catch(() => undefined)
      }
    }
  }

  async #list(): Promise<void> {
    const { client, path, query, onSynchronized } = this.#options
    const seen = new Set<string>()
    let token: string | undefined
    let revision: string
    do {
      const page = await client.list<T>(
        path,
        { ...query, limit: String(LIST_PAGE), continue: token },
        this.#abort.signal,
      )
      for (const object of page.items) seen.add(this.#put(object))
      token = page.metadata.continue
      revision = page.metadata.resourceVersion
    } while (token !== undefined && token !== '')
    for (const [key, object] of this.#objects) {
      if (seen.has(key)) continue
      this.#objects.delete(key)
      this.#options.onChange(undefined, object)
    }
    this.#revision = revision
    this.#synchronized = true
    this.#backoff.reset()
    onSynchronized?.()
  }

  async #watch(): Promise<void> {
    const { client, path, query } = this.#options
    const events = client.watch<T>(
      path,
      { ...query, resourceVersion: this.#revision, timeoutSeconds: String(WATCH_SECONDS) },
      this.#abort.signal,
      WATCH_SILENCE,
    )
    for await (const event of events) {
      if (event.type === 'ERROR') {
        // Whatever the reason, what we hold may be stale from here on: list again.
        this.#revision = undefined
        return
      }
      this.#backoff.reset()
      this.#revision = event.object.metadata.resourceVersion
      if (event.type === 'DELETED') this.#remove(event.object)
      else if (event.type !== 'BOOKMARK') this.#put(event.object)
    }
  }

  #put(object: T): string {
    const key = `${object.metadata.namespace ?? ''}/${object.metadata.name}`
    const previous = this.#objects.get(key)
    if (previous?.metadata.resourceVersion === object.metadata.resourceVersion) return key
    this.#objects.set(key, this.#kept(object))
    this.#options.onChange(object, previous)
    return key
  }

  #remove(object: T): void {
    const key = `${object.metadata.namespace ?? ''}/${object.metadata.name}`
    const previous = this.#objects.get(key)
    this.#objects.delete(key)
    this.#options.onChange(undefined, previous ?? this.#kept(object))
  }

  #kept(object: T): Kept {
    // Without `keep`, both types are the same.
    return this.#options.keep?.(object) ?? (object as KubernetesObject as Kept)
  }
}
