/**
 * The clusters of this process: opened on first use, kept running, made and deleted.
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
  type Authorizer,
  type ClientAuthorities,
  Cluster,
  type ClusterLimits,
  loadCatalog,
  ParsedObjects,
} from './apiserver/index.ts'
import { type ApiEndpoint, ensureDefaultObjects } from './default-objects.ts'
import { masterErrors } from './errors.ts'
import { chooseVersion, versionOf } from './versions.ts'
import { componentClient, Workers } from './workers.ts'

/** The space of the program's own constructs, which is no cluster. */
const SYSTEM_SPACE = 'system'

export interface ClustersOptions {
  readonly store: Store
  readonly authorizer: Authorizer
  /** Certificates in PEM that clients of the API have to believe. */
  readonly authority: string
  readonly clients: ClientAuthorities
  /** Where pods reach the API; undefined where that is not known. */
  readonly endpoint: ApiEndpoint | undefined
  /** Of each cluster. */
  readonly limits: ClusterLimits
  readonly clock: Clock
  readonly log: Logger
}

interface Running {
  readonly cluster: Cluster
  readonly workers: Workers
  /** Resolves when the feed has ended. */
  readonly fed: Promise<void>
}

export class Clusters {
  readonly #options: ClustersOptions
  readonly #parsed = new ParsedObjects()
  readonly #running = new Map<string, Running>()
  /** Opening, making and deleting one cluster happen one after the other. */
  readonly #turns = new KeyedLock('cluster', 4096)
  readonly #keepRunning: ReconcileLoop
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
  }

  /** Opens every cluster that there is, in the background: their nodes may be silent and their pods pending. */
  start(): void {
    for (const id of this.#options.store.spaces()) if (id !== SYSTEM_SPACE) this.#keepRunning.kick(id)
    this.#keepRunning.start()
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.#keepRunning.stop()
    await Promise.all([...this.#running.keys()].map(id => this.#turns.run(id, () => this.#close(id))))
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
      await this.#options.store.deleteSpace(spaceId)
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
    const { authorizer, authority, clients, endpoint, limits, clock, log } = this.#options
    const catalog = await loadCatalog(versionOf(space))
    const cluster = new Cluster({ space, catalog, clock, log, parsed: this.#parsed, limits })
    const workers = new Workers({ cluster, authorizer, authority, clients, clock, log })
    const running: Running = { cluster, workers, fed: cluster.feed.run() }
    this.#running.set(id, running)
    try {
      await ensureDefaultObjects(componentClient(cluster, authorizer, 'bootstrap'), authority, endpoint)
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

  async #close(id: string): Promise<void> {
    const running = this.#running.get(id)
    if (running === undefined) return
    this.#running.delete(id)
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
