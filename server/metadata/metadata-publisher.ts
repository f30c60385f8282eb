/** Publishes to every connected agent the metadata of its cluster, change by change. */
import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  type Clock,
  type Daemon,
  isDroverError,
  type Logger,
  ReconcileLoop,
  type ReconcileResult,
  systemClock,
} from '../../kit/index.ts'
import { METADATA_MODEL_VERSION } from '../../protocol/index.ts'
import type { Model } from '../model/index.ts'
import type { MetadataSource, MetadataSubscriber, MetadataSubscription } from '../proxy/index.ts'
import type { ChangeEvent, Space, Watch } from '../store/index.ts'
import { affectedBy } from './affected-objects.ts'
import { ChangeHistory } from './change-history.ts'
import { ClusterPublication } from './cluster-publication.ts'
import { Conversion, shownObjects } from './convert.ts'
import { GenerationRenewal } from './generation-renewal.ts'
import { Subscriber } from './subscriber.ts'

export interface MetadataPublisherOptions {
  readonly model: Model
  /** The space that the model follows. */
  readonly system: Space
  /** Secret or not, but the same after every start: with it and the cluster's uuid, agents tell one history from another. */
  readonly generation: string
  readonly serviceToken: (serviceUuid: string) => string
  /**
   * How often every copy is replaced, whatever it says of itself, and over how long the agents are spread; milliseconds.
   * Never when absent.
   */
  readonly renewal?: { readonly interval: number; readonly spread: number }
  readonly log: Logger
  readonly clock?: Clock
}

/** Milliseconds for which changes are collected before they travel. */
const COALESCE = 100

/** Milliseconds after which an agent that took no more is looked at again. */
const BACKLOG_INTERVAL = 50

/** Milliseconds for which the model of a cluster is kept when no agent of it is connected. */
const IDLE_LIMIT = 5 * 60_000

/** Agents that are served in one turn of the event loop. */
const SLICE = 500

/** Agents that nothing changes for are looked at whenever the log has grown by so many revisions. */
const QUIET_INTERVAL = 100

interface PublishedCluster {
  publication: ClusterPublication
  readonly subscribers: Set<Subscriber>
  /** When the last one left, by the monotonic clock. */
  idleSince: number
}

export class MetadataPublisher implements MetadataSource, Daemon {
  readonly name = 'metadata publisher'
  readonly #options: MetadataPublisherOptions
  readonly #clock: Clock
  readonly #conversion: Conversion
  readonly #clusters = new Map<string, PublishedCluster>()
  readonly #histories = new Map<string, ChangeHistory>()
  readonly #loop: ReconcileLoop
  /** Every change up to this revision is in a history or marked in a publication. */
  #seen = 0
  /** The revision after which all changes are known. */
  #floor = 0
  #watch: Watch | undefined
  #following: Promise<void> = Promise.resolve()
  #caughtUp = Promise.withResolvers<void>()
  #stopping = false
  #fullSynchronizations = 0
  readonly #renewal: GenerationRenewal | undefined

  constructor(options: MetadataPublisherOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#conversion = new Conversion(options.model, options.serviceToken)
    this.#loop = new ReconcileLoop({
      name: 'metadata of cluster',
      log: options.log,
      clock: this.#clock,
      reconcile: clusterId => this.#publish(clusterId),
    })
    const { renewal } = options
    if (renewal !== undefined) {
      this.#renewal = new GenerationRenewal({ ...renewal, clock: this.#clock, renew: () => this.#renew() })
    }
  }

  /** How many full synchronisations were begun since the start. */
  get fullSynchronizations(): number {
    return this.#fullSynchronizations
  }

  /** Reads what the log still remembers, so that agents that were connected to an earlier process miss nothing. */
  async start(): Promise<void> {
    this.#following = this.#follow()
    await this.#caughtUp.promise
    this.#loop.start()
    this.#renewal?.start()
  }

  async stop(): Promise<void> {
    this.#stopping = true
    this.#renewal?.stop()
    this.#watch?.close()
    await this.#following
    await this.#loop.stop()
    this.#clusters.clear()
  }

  subscribe(agent: MetadataSubscriber): MetadataSubscription {
    const { clusterId } = agent
    const cluster = this.#clusterOf(clusterId)
    const subscriber = new Subscriber(agent, cluster.publication.generation, reason => {
      this.#fullSynchronizations += 1
      this.#options.log.info({ cluster: clusterId, reason }, 'sends an agent all metadata')
    })
    cluster.subscribers.add(subscriber)
    this.#loop.kick(clusterId)
    return {
      resync: reason => {
        subscriber.restart(reason)
        this.#loop.kick(clusterId)
      },
      close: () => {
        subscriber.close()
        if (!cluster.subscribers.delete(subscriber) || cluster.subscribers.size > 0) return
        cluster.idleSince = this.#clock.monotonic()
        this.#loop.kickAfter(clusterId, IDLE_LIMIT)
      },
    }
  }

  #clusterOf(clusterId: string): PublishedCluster {
    const present = this.#clusters.get(clusterId)
    if (present !== undefined) return present
    const cluster = {
      publication: this.#newPublication(clusterId),
      subscribers: new Set<Subscriber>(),
      idleSince: this.#clock.monotonic(),
    }
    this.#clusters.set(clusterId, cluster)
    return cluster
  }

  #newPublication(clusterId: string): ClusterPublication {
    return new ClusterPublication({
      generation: this.#generationOf(clusterId),
      history: this.#historyOf(clusterId),
      convert: (kind, id) => this.#conversion.convert(kind, id),
      log: this.#options.log,
      clock: this.#clock,
    })
  }

  #generationOf(clusterId: string): string {
    const { model, generation } = this.#options
    // The uuid of the cluster tells apart two databases that were served with the same key.
    const clusterUuid = model.clusters.get(clusterId)?.uuid ?? clusterId
    return createHash('sha256')
      .update(`${generation}\n${clusterUuid}\n${METADATA_MODEL_VERSION}\n${this.#renewal?.epoch ?? 0}`)
      .digest('base64url')
  }

  #historyOf(clusterId: string): ChangeHistory {
    const present = this.#histories.get(clusterId)
    if (present !== undefined) return present
    const history = new ChangeHistory(this.#floor)
    this.#histories.set(clusterId, history)
    return history
  }

  /** Brings the publication of a cluster to what is known now, and its agents to the publication. */
  async #publish(clusterId: string): Promise<ReconcileResult> {
    const cluster = this.#clusters.get(clusterId)
    if (cluster === undefined) return undefined
    if (cluster.subscribers.size === 0) return this.#retire(clusterId, cluster)
    const { model } = this.#options
    const { publication, subscribers } = cluster
    await publication.cut(this.#seen, () => shownObjects(model, clusterId))
    let behind = 0
    let count = 0
    for (const subscriber of subscribers) {
      count += 1
      if (count % SLICE === 0) await nextTurn()
      if (!subscriber.pump(publication)) behind += 1
    }
    const unused = publication.forgetUnused()
    if (behind > 0) return { requeueAfter: BACKLOG_INTERVAL }
    return unused === undefined ? undefined : { requeueAfter: unused }
  }

  #retire(clusterId: string, cluster: PublishedCluster): ReconcileResult {
    const remaining = cluster.idleSince + IDLE_LIMIT - this.#clock.monotonic()
    if (remaining > 0) return { requeueAfter: remaining }
    cluster.publication.abandon(this.#seen)
    this.#clusters.delete(clusterId)
    return undefined
  }

  async #follow(): Promise<void> {
    const { system, log } = this.#options
    this.#forgetEverything(system.compactedRevision)
    while (!this.#stopping) {
      const goal = system.revision
      this.#watch = system.watch({ after: this.#seen })
      if (this.#seen >= goal) this.#caughtUp.resolve()
      try {
        for await (const events of this.#watch) {
          await this.#options.model.reached(events.at(-1)?.revision ?? 0)
          for (const event of events) this.#note(event)
          if (this.#seen >= goal) this.#caughtUp.resolve()
        }
        return
      } catch (error) {
        if (!isDroverError(error, 'Expired')) {
          log.error({ err: error }, 'metadata is not published any more')
          this.#caughtUp.reject(error)
          return
        }
        log.warn('the metadata publisher fell behind the log')
        if (this.#seen >= system.compactedRevision) continue
        const { revision } = system
        await this.#options.model.reached(revision)
        this.#forgetEverything(revision)
      }
    }
  }

  /** A new generation: every copy is replaced once, one agent after the other. */
  #renew(): void {
    for (const [clusterId, cluster] of this.#clusters) {
      cluster.publication.rename(this.#generationOf(clusterId))
      for (const subscriber of cluster.subscribers) {
        this.#renewal?.spread(subscriber, () => {
          if (!cluster.subscribers.has(subscriber)) return
          subscriber.restart('all metadata is sent anew now and then')
          this.#loop.kick(clusterId)
        })
      }
    }
  }

  /** From now on only changes after `revision` are known. */
  #forgetEverything(revision: number): void {
    this.#floor = revision
    this.#seen = revision
    this.#histories.clear()
    for (const [clusterId, cluster] of this.#clusters) {
      for (const subscriber of cluster.subscribers) subscriber.close()
      cluster.publication = this.#newPublication(clusterId)
      this.#loop.kick(clusterId)
    }
  }

  #note(event: ChangeEvent): void {
    this.#seen = event.revision
    if (event.revision % QUIET_INTERVAL === 0) {
      for (const clusterId of this.#clusters.keys()) this.#loop.kickAfter(clusterId, COALESCE)
    }
    if (event.type === 'deleted' && event.previous.key.kind === 'cluster') {
      this.#histories.delete(event.previous.key.name)
    }
    const affected = affectedBy(event, this.#options.model)
    if (affected === undefined) return
    const { clusterId, objects } = affected
    const cluster = this.#clusters.get(clusterId)
    for (const object of objects) {
      if (cluster !== undefined) cluster.publication.mark(object, event.revision)
      else this.#historyOf(clusterId).note(event.revision, object.uuid)
    }
    if (cluster !== undefined) this.#loop.kickAfter(clusterId, COALESCE)
  }
}
