/**
 * The clusters of this process: opened on first use, kept running or let sleep, made and deleted.
 *
 * A cluster is a space of the store. While it is open, one feed distributes its changes and its workers run; when the
 * feed ends without anybody having asked for it (the space moved to another server, the store was too fast for us),
 * the cluster is opened anew.
 */
import {
  type Clock,
  explainError,
  isDroverError,
  KeyedLock,
  type Logger,
  ReconcileLoop,
} from '../../kit/index.ts'
import type { KubernetesVersion } from '../../protocol/kubernetes/index.ts'
import { parseSpaceId, type Space, type SpaceId, type Store } from '../store/index.ts'
import {
  type Aggregator,
  type Authorizer,
  type BackendClient,
  type ClientAuthorities,
  Cluster,
  type ClusterLimits,
  loadCatalog,
  ParsedObjects,
} from './apiserver/index.ts'
import { type ApiEndpoint, ensureDefaultObjects } from './default-objects.ts'
import { masterErrors } from './errors.ts'
import { type AwakeCluster, Suspension } from './suspension.ts'
import { chooseVersion, versionOf } from './versions.ts'
import { WorkerClock } from './worker-clock.ts'
import { componentClient, Workers } from './workers.ts'

/** The space of the program's own constructs, which is no cluster. */
const SYSTEM_SPACE = 'system'

/** The name in the certificates of who asks others for somebody. */
export const FRONT_PROXY = 'front-proxy-client'

export interface ClustersOptions {
  readonly store: Store
  readonly authorizer: Authorizer
  /** Certificates in PEM that clients of the API have to believe. */
  readonly authority: string
  readonly clients: ClientAuthorities
  readonly backends: BackendClient
  readonly aggregator: Aggregator
  /** Who signs what this server proves with to others that it asks for somebody. */
  readonly frontProxies: ClientAuthorities
  /** Where pods reach the API; undefined where that is not known. */
  readonly endpoint: ApiEndpoint | undefined
  /** Of each cluster. */
  readonly limits: ClusterLimits
  /** Milliseconds after which a cluster that nobody uses leaves memory; infinity for never. */
  readonly suspendAfter: number
  readonly clock: Clock
  readonly log: Logger
}

class Running implements AwakeCluster {
  readonly cluster: Cluster
  readonly workers: Workers
  readonly #clock: WorkerClock
  /** Resolves when the feed has ended. */
  readonly fed: Promise<void>

  constructor(cluster: Cluster, workers: Workers, clock: WorkerClock) {
    this.cluster = cluster
    this.workers = workers
    this.#clock = clock
    this.fed = cluster.feed.run()
  }

  get activity() {
    return this.cluster.activity
  }

  get nextDue(): number {
    return this.#clock.nextDue
  }
}

export class Clusters {
  readonly #options: ClustersOptions
  readonly #parsed = new ParsedObjects()
  readonly #running = new Map<string, Running>()
  /** Opening, making and deleting one cluster happen one after the other. */
  readonly #turns = new KeyedLock('cluster', 4096)
  readonly #keepRunning: ReconcileLoop
  readonly #suspension: Suspension
  #stopping = false

  constructor(options: ClustersOptions) {
    this.#options = options
    this.#keepRunning = new ReconcileLoop({
      name: 'clusters',
      reconcile: async id => {
        await this.open(id)
        return undefined
      },
      log: options.log,
      clock: options.clock,
    })
    this.#suspension = new Suspension({
      after: options.suspendAfter,
      clock: options.clock,
      awake: () => this.#running,
      suspend: id => void this.#suspend(id),
      wake: id => this.#keepRunning.kick(id),
    })
  }

  /** Opens every cluster that there is, in the background: their nodes may be silent and their pods pending. */
  start(): void {
    for (const id of this.#options.store.spaces()) if (id !== SYSTEM_SPACE) this.#keepRunning.kick(id)
    this.#keepRunning.start()
    this.#suspension.start()
  }

  async stop(): Promise<void> {
    this.#stopping = true
    this.#suspension.stop()
    await this.#keepRunning.stop()
    await Promise.all([...this.#running.keys()].map(id => this.#turns.run(id, () => this.#close(id))))
  }

  /** How many clusters are in memory, and how many sleep. */
  get counts(): { readonly awake: number; readonly asleep: number } {
    return { awake: this.#running.size, asleep: this.#suspension.sleeping }
  }

  /** The cluster; undefined when there is none of this name. */
  async open(id: string): Promise<Cluster | undefined> {
    const present = this.#running.get(id)?.cluster
    if (present !== undefined && !present.feed.ended) return present
    return await this.#turns.run(id, async () => (await this.#openInTurn(id))?.cluster)
  }

  /**
   * Makes a cluster with its default objects; one that is there already is completed.
   *
   * @param version what it speaks from now on; undefined leaves it at what it is
   * @throws `ReservedName`; the store's `InvalidKey`, `Stopped`, `WriteFailed`
   */
  async create(id: string, version?: KubernetesVersion): Promise<void> {
    const spaceId = clusterSpaceId(id)
    await this.#turns.run(id, async () => {
      const space = await this.#createSpace(spaceId)
      if (version !== undefined && (await chooseVersion(space, version))) await this.#close(id)
      await this.#openInTurn(id)
    })
  }

  /** Removes a cluster and everything in it. Its watches end. @throws the store's `NotFound` */
  async delete(id: string): Promise<void> {
    const spaceId = clusterSpaceId(id)
    await this.#turns.run(id, async () => {
      await this.#close(id)
      this.#suspension.forget(id)
      await this.#options.store.deleteSpace(spaceId)
      this.#options.clients.forget(id)
      this.#options.frontProxies.forget(id)
    })
  }

  async #openInTurn(id: string): Promise<Running | undefined> {
    const present = this.#running.get(id)
    if (present !== undefined && !present.cluster.feed.ended) return present
    if (this.#stopping) throw masterErrors.Stopping({ object: `cluster ${id}` })
    if (present !== undefined) await this.#close(id)
    const space = await this.#openSpace(id)
    return space && (await this.#run(id, space))
  }

  async #createSpace(id: SpaceId): Promise<Space> {
    try {
      return await this.#options.store.createSpace(id)
    } catch (error) {
      if (!isDroverError(error, 'AlreadyExists')) throw error
      return await this.#options.store.openSpace(id)
    }
  }

  async #openSpace(id: string): Promise<Space | undefined> {
    try {
      return await this.#options.store.openSpace(clusterSpaceId(id))
    } catch (error) {
      if (['NotFound', 'InvalidKey', 'ReservedName'].some(code => isDroverError(error, code)))
        return undefined
      throw error
    }
  }

  async #run(id: string, space: Space): Promise<Running> {
    const { authorizer, authority, backends, clients, endpoint, frontProxies, limits, log } = this.#options
    const clock = new WorkerClock(this.#options.clock)
    const catalog = await loadCatalog(versionOf(space))
    const cluster = new Cluster({
      space,
      catalog,
      clock: this.#options.clock,
      log,
      parsed: this.#parsed,
      limits,
      authorizer,
      backends,
    })
    const workers = new Workers({ ...this.#options, cluster, clock })
    const running = new Running(cluster, workers, clock)
    this.#running.set(id, running)
    this.#suspension.forget(id)
    try {
      await ensureDefaultObjects(componentClient(cluster, authorizer, 'bootstrap'), {
        authority,
        // A cluster that wakes has them already: signing takes longer than all the rest.
        clientAuthority: () => clients.certificate(id),
        frontProxy: { name: FRONT_PROXY, authority: () => frontProxies.certificate(id) },
        served: catalog.groupVersions,
        endpoint,
      })
      await workers.start()
    } catch (error) {
      await this.#close(id)
      throw error
    }
    void running.fed.then(() => this.#fedNoMore(id, running))
    return running
  }

  #fedNoMore(id: string, running: Running): void {
    if (this.#stopping || this.#running.get(id) !== running) return
    this.#options.log.warn({ cluster: id }, 'the cluster ended and is opened again')
    this.#keepRunning.kick(id)
  }

  /** Takes a cluster out of memory, unless somebody came meanwhile. */
  async #suspend(id: string): Promise<void> {
    const { store, log } = this.#options
    try {
      await this.#turns.run(id, async () => {
        const running = this.#running.get(id)
        if (running === undefined || this.#stopping || !this.#suspension.mayRest(running)) return
        const { nextDue } = running
        const { revision } = running.activity
        await this.#close(id)
        await store.releaseSpace(clusterSpaceId(id))
        // A worker that wrote at the last moment may want to look at what it did.
        const touched = running.activity.revision !== revision
        this.#suspension.asleep(id, touched ? Number.NEGATIVE_INFINITY : nextDue)
        log.debug({ cluster: id }, 'the cluster left memory')
      })
    } catch (error) {
      log.warn({ cluster: id, reason: explainError(error) }, 'the cluster could not be suspended')
      this.#keepRunning.kick(id)
    }
  }

  async #close(id: string): Promise<void> {
    const running = this.#running.get(id)
    if (running === undefined) return
    this.#running.delete(id)
    running.cluster.beginClosing()
    try {
      await running.workers.stop()
    } catch (error) {
      this.#options.log.warn({ cluster: id, reason: explainError(error) }, 'workers did not stop cleanly')
    }
    running.cluster.close()
    await running.fed
  }
}

/** @throws `ReservedName`, `InvalidKey` */
function clusterSpaceId(id: string): SpaceId {
  if (id === SYSTEM_SPACE) throw masterErrors.ReservedName({ object: `cluster ${id}` })
  return parseSpaceId(id)
}
