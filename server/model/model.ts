/** Drover's constructs in memory: every collection, kept current by one watch of the space `system`. */
import { type Daemon, isDroverError, type Logger } from '../../kit/index.ts'
import type { ChangeEvent, Space, Watch } from '../store/index.ts'
import { Collection, type CollectionContext } from './collection.ts'
import { Identifiers } from './identifiers.ts'
import { type KindDefinition, kinds } from './kinds.ts'
import type { ModelKind, ObjectOfKind } from './objects.ts'

type Collections = { readonly [Kind in ModelKind]: Collection<Kind> }

export class Model implements Daemon {
  readonly name = 'model'
  readonly #space: Space
  readonly #log: Logger
  readonly #collections: Collections
  #revision = 0
  #waiting: { revision: number; resolve: () => void }[] = []
  #watch: Watch | undefined
  #following: Promise<void> = Promise.resolve()
  #stopping = false

  constructor(space: Space, log: Logger) {
    this.#space = space
    this.#log = log
    const context: CollectionContext = {
      space,
      identifiers: new Identifiers(space),
      reached: revision => this.reached(revision),
    }
    const entries = (Object.keys(kinds) as ModelKind[]).map(kind => [
      kind,
      new Collection(kind, kinds[kind] as unknown as KindDefinition<ObjectOfKind[ModelKind]>, context),
    ])
    this.#collections = Object.fromEntries(entries) as unknown as Collections
  }

  get clusters(): Collection<'cluster'> {
    return this.#collections.cluster
  }
  get projects(): Collection<'project'> {
    return this.#collections.project
  }
  get hosts(): Collection<'host'> {
    return this.#collections.host
  }
  get apiKeys(): Collection<'apiKey'> {
    return this.#collections.apiKey
  }
  get registrationTokens(): Collection<'registrationToken'> {
    return this.#collections.registrationToken
  }
  get stacks(): Collection<'stack'> {
    return this.#collections.stack
  }
  get services(): Collection<'service'> {
    return this.#collections.service
  }
  get deploymentUnits(): Collection<'deploymentUnit'> {
    return this.#collections.deploymentUnit
  }
  get containers(): Collection<'container'> {
    return this.#collections.container
  }
  get networks(): Collection<'network'> {
    return this.#collections.network
  }
  get addressBlocks(): Collection<'addressBlock'> {
    return this.#collections.addressBlock
  }

  get certificates(): Collection<'certificate'> {
    return this.#collections.certificate
  }

  /** A collection by the name of its kind. */
  of<Kind extends ModelKind>(kind: Kind): Collection<Kind> {
    return this.#collections[kind] as Collection<Kind>
  }

  /** Loads everything, then follows the log. */
  start(): Promise<void> {
    this.#load()
    this.#following = this.#follow()
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    this.#stopping = true
    this.#watch?.close()
    await this.#following
  }

  /** Resolves when the collections show everything up to `revision`. */
  reached(revision: number): Promise<void> {
    if (this.#revision >= revision) return Promise.resolve()
    return new Promise(resolve => this.#waiting.push({ revision, resolve }))
  }

  /** Shows exactly what the store holds now, and from there opens the watch. */
  #load(): void {
    this.#revision = this.#space.revision
    for (const kind of Object.keys(kinds) as ModelKind[]) {
      // Creation order is the order of indexes, and lists are shown in it.
      const stored = this.#space.list(kind).objects.toSorted((a, b) => a.createdRevision - b.createdRevision)
      const present = new Set(stored.map(({ key }) => key.name))
      for (const id of this.#collections[kind].identifiers()) {
        if (!present.has(id)) this.#show(kind, id, undefined)
      }
      for (const { key, json } of stored) this.#show(kind, key.name, json)
    }
    this.#watch = this.#space.watch({ after: this.#revision })
    this.#release()
  }

  async #follow(): Promise<void> {
    while (!this.#stopping && this.#watch !== undefined) {
      try {
        for await (const events of this.#watch) {
          for (const event of events) this.#apply(event)
          this.#release()
        }
        return
      } catch (error) {
        if (!isDroverError(error, 'Expired')) throw error
        this.#log.warn('the model fell behind the log and is loaded again')
        this.#load()
      }
    }
  }

  #release(): void {
    if (this.#waiting.length === 0) return
    const reached = this.#waiting.filter(({ revision }) => revision <= this.#revision)
    this.#waiting = this.#waiting.filter(({ revision }) => revision > this.#revision)
    for (const { resolve } of reached) resolve()
  }

  #apply(event: ChangeEvent): void {
    this.#revision = event.revision
    const key = event.type === 'deleted' ? event.previous.key : event.object.key
    if (!(key.kind in kinds)) return
    this.#show(key.kind as ModelKind, key.name, event.type === 'deleted' ? undefined : event.object.json)
  }

  #show(kind: ModelKind, id: string, json: string | undefined): void {
    const collection = this.#collections[kind] as unknown as { show(id: string, object: unknown): void }
    try {
      collection.show(id, json === undefined ? undefined : JSON.parse(json))
    } catch (error) {
      this.#log.error({ err: error, kind, object: id }, 'a listener of the model failed')
    }
  }
}
