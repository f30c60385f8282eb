/** Every container of this host, kept current by Docker's events. */
import type { Readable } from 'node:stream'
import { Backoff, type Daemon, type Logger, ReconcileLoop, readLines, sleep } from '../../kit/index.ts'
import type { ContainerDetails } from './container-details.ts'
import type { DockerEngine } from './engine.ts'

/** Called after the inventory shows a change; undefined stands for "not there". */
export type ContainerListener = (
  container: ContainerDetails | undefined,
  previous: ContainerDetails | undefined,
) => void

const ACTIONS = ['create', 'start', 'die', 'pause', 'unpause', 'destroy', 'rename', 'update']
const INSPECT_CONCURRENCY = 8
/** Bytes of one event: it carries the labels of its container. */
const EVENT_LIMIT = 4 * 1024 * 1024

export class ContainerInventory implements Daemon {
  readonly name = 'container inventory'
  readonly #engine: DockerEngine
  readonly #log: Logger
  readonly #containers = new Map<string, ContainerDetails>()
  readonly #listeners = new Set<ContainerListener>()
  readonly #connectedListeners = new Set<() => void>()
  readonly #inspections: ReconcileLoop
  readonly #abort = new AbortController()
  readonly #backoff = new Backoff({ initial: 100, maximum: 2_000 })
  #events: Readable | undefined
  #connected = false
  #following: Promise<void> = Promise.resolve()

  constructor(engine: DockerEngine, log: Logger) {
    this.#engine = engine
    this.#log = log
    this.#inspections = new ReconcileLoop({
      name: 'inspect container',
      log,
      concurrency: INSPECT_CONCURRENCY,
      backoff: { initial: 100, maximum: 5_000 },
      reconcile: async id => {
        await this.refresh(id)
        return undefined
      },
    })
  }

  /** Whether Docker's events are being received. */
  get connected(): boolean {
    return this.#connected
  }

  /**
   * Begins to follow; resolves when every container has been looked at.
   *
   * @throws `DockerUnreachable` when Docker is away at the start
   */
  async start(): Promise<void> {
    this.#inspections.start()
    const events = await this.#synchronize()
    this.#following = this.#follow(events)
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    this.#events?.destroy()
    await this.#inspections.stop()
    await this.#following
  }

  get(id: string): ContainerDetails | undefined {
    return this.#containers.get(id)
  }

  all(): IterableIterator<ContainerDetails> {
    return this.#containers.values()
  }

  onChange(listener: ContainerListener): void {
    this.#listeners.add(listener)
  }

  /** Calls `listener` whenever Docker is there again after it was away. */
  onReconnected(listener: () => void): void {
    this.#connectedListeners.add(listener)
  }

  /** Looks at a container now, e.g. after changing it. */
  async refresh(id: string): Promise<ContainerDetails | undefined> {
    const details = await this.#engine.inspect(id)
    const previous = this.#containers.get(id)
    if (details === undefined) this.#containers.delete(id)
    else this.#containers.set(id, details)
    if (details === undefined && previous === undefined) return undefined
    for (const listener of this.#listeners) listener(details, previous)
    return details
  }

  /** Opens the events first and lists then, so that nothing falls in between. */
  async #synchronize(): Promise<Readable> {
    const events = await this.#engine.events(ACTIONS)
    this.#events = events
    // The stream may fail before anybody reads it.
    events.on('error', error => this.#log.debug({ err: error }, 'the event stream failed'))
    const listed = await this.#engine.listContainers()
    for (const id of new Set([...listed, ...this.#containers.keys()])) this.#inspections.kick(id)
    await this.#inspections.idle()
    this.#connected = true
    this.#backoff.reset()
    return events
  }

  async #follow(first: Readable): Promise<void> {
    let events: Readable | undefined = first
    while (!this.#abort.signal.aborted) {
      try {
        if (events === undefined) {
          events = await this.#synchronize()
          for (const listener of this.#connectedListeners) listener()
          this.#log.info('Docker is back')
        }
        for await (const line of readLines(events, EVENT_LIMIT)) this.#receive(line)
      } catch (error) {
        this.#log.debug({ err: error }, 'lost the event stream')
      }
      events?.destroy()
      events = undefined
      if (this.#abort.signal.aborted) return
      if (this.#connected) this.#log.warn('Docker is away')
      this.#connected = false
      await sleep(this.#backoff.next(), this.#abort.signal).catch(() => undefined)
    }
  }

  #receive(line: string): void {
    if (line.trim() === '') return
    try {
      const event = JSON.parse(line) as { id?: unknown; Actor?: { ID?: unknown } }
      const id = event.Actor?.ID ?? event.id
      if (typeof id === 'string') this.#inspections.kick(id)
    } catch (error) {
      this.#log.warn({ err: error }, 'received an event that cannot be read')
    }
  }
}
