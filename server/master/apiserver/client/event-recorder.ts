/** Writes Events about objects: what happened to them, for `kubectl describe` and `kubectl get events`. */
import { randomBytes } from 'node:crypto'
import { type Clock, explainError, type Logger } from '../../../../kit/index.ts'
import type { Frozen } from '../json.ts'
import type { KubernetesObject } from '../objects.ts'
import { formatTime } from '../schema/index.ts'
import { StatusError } from '../status.ts'
import type { ClusterClient } from './client.ts'
import { EVENTS } from './resource-reference.ts'

/** Events on their way to the store; more are dropped, for an event is news and not state. */
const IN_FLIGHT_LIMIT = 128
/** Events that are counted up when they happen again. */
const REMEMBERED = 512
const LONGEST_MESSAGE = 1024

export interface EventText {
  readonly type: 'Normal' | 'Warning'
  /** One word in CamelCase. */
  readonly reason: string
  readonly message: string
}

interface Known {
  readonly name: string
  count: number
}

export class EventRecorder {
  readonly #client: ClusterClient
  readonly #component: string
  readonly #clock: Clock
  readonly #log: Logger
  readonly #known = new Map<string, Known>()
  #inFlight = 0

  /** @param component who records, for the source of the events */
  constructor(client: ClusterClient, component: string, clock: Clock, log: Logger) {
    this.#client = client
    this.#component = component
    this.#clock = clock
    this.#log = log
  }

  /** Records an event about an object; the same event again only counts. */
  record(object: Frozen<KubernetesObject>, text: EventText): void {
    if (this.#inFlight >= IN_FLIGHT_LIMIT) return
    this.#inFlight += 1
    this.#write(object, text)
      .catch(error => {
        // A namespace that is going away takes no events, and nobody misses them.
        if (error instanceof StatusError && (error.reason === 'Forbidden' || error.reason === 'NotFound'))
          return
        this.#log.debug({ reason: explainError(error), event: text.reason }, 'an event was not recorded')
      })
      .finally(() => {
        this.#inFlight -= 1
      })
  }

  async #write(object: Frozen<KubernetesObject>, text: EventText): Promise<void> {
    const identity = `${object.metadata.uid} ${text.type} ${text.reason} ${text.message}`
    const namespace = object.metadata.namespace ?? 'default'
    const known = this.#known.get(identity)
    if (known !== undefined && (await this.#countUp(namespace, known))) return
    const name = `${object.metadata.name.slice(0, 200)}.${randomBytes(8).toString('hex')}`
    this.#remember(identity, { name, count: 1 })
    await this.#create(object, namespace, name, text)
  }

  #remember(identity: string, known: Known): void {
    if (this.#known.size >= REMEMBERED) {
      const [oldest] = this.#known.keys()
      if (oldest !== undefined) this.#known.delete(oldest)
    }
    this.#known.set(identity, known)
  }

  /** @returns false when the event has expired */
  async #countUp(namespace: string, known: Known): Promise<boolean> {
    known.count += 1
    const body = { count: known.count, lastTimestamp: formatTime(this.#clock.now()) }
    try {
      await this.#client.patch(EVENTS, { namespace, name: known.name }, { type: 'merge', body })
      return true
    } catch (error) {
      if (error instanceof StatusError && error.reason === 'NotFound') return false
      throw error
    }
  }

  async #create(
    { kind, apiVersion, metadata }: Frozen<KubernetesObject>,
    namespace: string,
    name: string,
    { type, reason, message }: EventText,
  ): Promise<void> {
    const now = formatTime(this.#clock.now())
    await this.#client.create(EVENTS, {
      kind: 'Event',
      apiVersion: 'v1',
      metadata: { name, namespace },
      involvedObject: {
        kind,
        apiVersion,
        name: metadata.name,
        ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
        ...(metadata.uid === undefined ? {} : { uid: metadata.uid }),
        ...(metadata.resourceVersion === undefined ? {} : { resourceVersion: metadata.resourceVersion }),
      },
      type,
      reason,
      message: message.slice(0, LONGEST_MESSAGE),
      source: { component: this.#component },
      reportingComponent: this.#component,
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    })
  }
}
