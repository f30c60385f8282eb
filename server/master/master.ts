/** The embedded Kubernetes master: the API, the schedulers and the controllers of any number of clusters. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Clock, type Daemon, type Logger, sendJson, systemClock } from '../../kit/index.ts'
import { DEFAULT_KUBERNETES_VERSION, type KubernetesVersion } from '../../protocol/kubernetes/index.ts'
import type { Store } from '../store/index.ts'
import {
  Aggregator,
  ApiServer,
  type Authenticate,
  type Authorizer,
  anyOf,
  BackendClient,
  ClientAuthorities,
  ClusterClient,
  type ClusterLimits,
  DEFAULT_CLUSTER_LIMITS,
  type FindOutside,
  groupRules,
  type Identity,
  KUBELET_CLIENT,
  KubeletGateway,
  loadCatalog,
  type NodeGateway,
  nodeRules,
  OwnIdentity,
  rbacRules,
  type ServiceAccountOptions,
  StatusError,
  statusObject,
} from './apiserver/index.ts'
import { Clusters, FRONT_PROXY } from './clusters.ts'
import type { ApiEndpoint } from './default-objects.ts'
import { masterErrors } from './errors.ts'

export interface KubernetesMasterOptions {
  readonly store: Store
  readonly log: Logger
  readonly authenticate: Authenticate
  /**
   * Calls a listener whenever somebody whom `authenticate` knew may be nobody any more, so that what they have open ends;
   * the returned function ends that. Absent where credentials are good for ever.
   */
  readonly onRevocation?: (listener: () => void) => () => void
  readonly nodes: NodeGateway
  readonly serviceAccounts: ServiceAccountOptions
  /** Certificates in PEM that clients of the API have to believe. */
  readonly authority: string
  /** Where pods reach the API, for the service `kubernetes`; absent where that is not known. */
  readonly endpoint?: ApiEndpoint | undefined
  /** How much each cluster may hold. */
  readonly limits?: ClusterLimits
  /** Milliseconds after which a cluster that nobody uses leaves memory, until it is asked again; absent for never. */
  readonly suspendAfter?: number
  /** Where URLs of webhooks lead; nowhere into this machine or its networks unless a test says otherwise. */
  readonly findOutside?: FindOutside
  /** The machine's clock unless a test says otherwise. */
  readonly clock?: Clock
}

interface Parts {
  readonly server: ApiServer
  readonly clusters: Clusters
  readonly backends: BackendClient
  readonly stopListening: () => void
}

export class KubernetesMaster implements Daemon {
  readonly name = 'kubernetes master'
  readonly #options: KubernetesMasterOptions
  readonly #authorizer: Authorizer = anyOf([groupRules, nodeRules, rbacRules])
  #parts: Parts | undefined

  constructor(options: KubernetesMasterOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    const { store, log, authenticate, nodes: agents, serviceAccounts, authority, endpoint } = this.#options
    const { clock = systemClock, limits = DEFAULT_CLUSTER_LIMITS } = this.#options
    const { suspendAfter = Number.POSITIVE_INFINITY, findOutside } = this.#options
    const catalog = await loadCatalog(DEFAULT_KUBERNETES_VERSION)
    const authorizer = this.#authorizer
    const clients = new ClientAuthorities(serviceAccounts.secret)
    const kubelets = new OwnIdentity(clients, KUBELET_CLIENT, clock)
    const openCluster = (id: string) => clusters.open(id)
    const nodes = new KubeletGateway({ agents, identity: kubelets, openCluster, log })
    const backends = new BackendClient({ nodes, findOutside })
    const frontProxies = new ClientAuthorities(serviceAccounts.secret, 'request headers')
    const frontProxy = new OwnIdentity(frontProxies, { commonName: FRONT_PROXY }, clock)
    const aggregator = new Aggregator({ client: backends, frontProxy, authorizer, log })
    const clusters: Clusters = new Clusters({
      store,
      authorizer,
      authority,
      backends,
      aggregator,
      frontProxies,
      clients,
      endpoint,
      limits,
      suspendAfter,
      clock,
      log,
    })
    const server = new ApiServer({
      openCluster,
      catalog,
      authenticate,
      authorizer,
      nodes,
      kubelets,
      serviceAccounts,
      clients,
      aggregator,
      clock,
      log,
    })
    const { onRevocation = () => () => undefined } = this.#options
    const stopListening = onRevocation(() => server.credentialsChanged())
    this.#parts = { server, clusters, backends, stopListening }
    clusters.start()
  }

  /** Ends all watches, stops all workers. The store is not the master's to stop. */
  async stop(): Promise<void> {
    this.#parts?.stopListening()
    await this.#parts?.server.stop()
    await this.#parts?.clusters.stop()
    this.#parts?.backends.stop()
    this.#parts = undefined
  }

  /**
   * Answers a request to a cluster's API; refusals are answers too.
   *
   * @param cluster id of the cluster that the path's prefix named
   * @param pathAfterPrefix percent-encoded and without the query, which is read from the request; starts with `/`
   */
  async handle(
    cluster: string,
    pathAfterPrefix: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (this.#parts === undefined) {
      const stopped = new StatusError(
        'ServiceUnavailable',
        'the server is starting or stopping; try again in a moment',
      )
      sendJson(response, stopped.status, statusObject(stopped))
      return
    }
    await this.#parts.server.handle(cluster, pathAfterPrefix, request, response)
  }

  /**
   * Serves a connection to a cluster's API that asks for another protocol.
   *
   * @param head what came of the other protocol already
   */
  async upgrade(
    cluster: string,
    pathAfterPrefix: string,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
  ): Promise<void> {
    if (this.#parts === undefined) socket.destroy()
    else await this.#parts.server.upgrade(cluster, pathAfterPrefix, request, socket, head)
  }

  /**
   * Makes a cluster with its default objects; one that is there already is completed. Resolves when it is usable.
   *
   * @param version what it speaks from now on; undefined leaves it at what it is, or gives a new one the default
   * @throws `ReservedName`, `InvalidKey` for its name; `Stopping`; what the store throws
   */
  async createCluster(id: string, version?: KubernetesVersion): Promise<void> {
    await this.#running().clusters.create(id, version)
  }

  /** Removes a cluster and everything in it; its watches end. @throws `NotFound` */
  async deleteCluster(id: string): Promise<void> {
    await this.#running().clusters.delete(id)
  }

  /**
   * A client of a cluster inside the process, with the rights of `identity`; undefined when there is no cluster. The
   * cluster stays awake for it.
   */
  async client(cluster: string, identity: Identity): Promise<ClusterClient | undefined> {
    const open = await this.#running().clusters.open(cluster)
    open?.hold()
    return open && new ClusterClient(open, identity, this.#authorizer)
  }

  /** How many watches are open. */
  get openWatches(): number {
    return this.#parts?.server.openWatches ?? 0
  }

  /** How many clusters are in memory, and how many sleep. */
  get clusterCounts(): { readonly awake: number; readonly asleep: number } {
    return this.#parts?.clusters.counts ?? { awake: 0, asleep: 0 }
  }

  #running(): Parts {
    if (this.#parts === undefined) throw masterErrors.Stopping({ object: this.name })
    return this.#parts
  }
}
