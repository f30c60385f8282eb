/** The API server: one handler for the requests to any number of clusters. */
import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  type Clock,
  explainError,
  FairQueue,
  type FairQueueLimits,
  isDroverError,
  type Logger,
  requestTarget,
} from '../../../../kit/index.ts'
import { METRICS_TYPE } from '../../../../kit/metrics/index.ts'
import {
  type Attributes,
  type Authenticate,
  type Authorizer,
  type Identity,
  requireAccess,
} from '../access/index.ts'
import type { Aggregator } from '../aggregation/index.ts'
import type { Catalog } from '../catalog/index.ts'
import type { ClientAuthorities, OwnIdentity } from '../certificates/index.ts'
import type { Cluster } from '../cluster/index.ts'
import { clusterMetrics } from '../metrics/index.ts'
import type { NodeGateway } from '../nodes.ts'
import type { Identify } from '../reviews/index.ts'
import { pathNotFound, StatusError, statusObject, toStatusError } from '../status.ts'
import { issuerConfiguration, keySet, ServiceAccountTokens, SigningKeys } from '../tokens/index.ts'
import { Watches } from '../watch/index.ts'
import { Answer } from './answer.ts'
import { Authentication } from './authentication.ts'
import { credentialsOf } from './credentials.ts'
import { Gate } from './gate.ts'
import { healthText } from './health.ts'
import { OthersApi } from './others-api.ts'
import { answerDiscovery, answerIndex, answerOpenApi, versionDocument } from './published.ts'
import { ResourceVerbs } from './resource-verbs.ts'
import { findRoute, type PublicRoute } from './route.ts'
import { StreamRequests } from './stream-requests.ts'

/** Requests that are worked on at a time: enough for full transactions, few enough that nobody waits long for a turn. */
const SEATS: FairQueueLimits = { seats: 512, seatsEach: 256, waitingEach: 4_096 }
/** Switching Protocols. */
const SWITCHED = 101
const LASTING: ReadonlySet<string> = new Set(['log', 'proxy'])

/** What the tokens of service accounts are made with. */
export interface ServiceAccountOptions {
  /** Of all servers that serve the same clusters: every cluster's key is derived from it. */
  readonly secret: string
  /** The URL of a cluster's API, as others reach it: it stands in tokens. */
  readonly issuer: (cluster: string) => string
}

export interface ApiServerOptions {
  /** Opens a cluster; undefined when there is none. */
  readonly openCluster: (id: string) => Promise<Cluster | undefined>
  /** What clusters serve until they choose their version. */
  readonly catalog: Catalog
  readonly authenticate: Authenticate
  readonly authorizer: Authorizer
  readonly nodes: NodeGateway
  /** Who kubelets are asked as. */
  readonly kubelets: OwnIdentity
  readonly serviceAccounts: ServiceAccountOptions
  readonly clients: ClientAuthorities
  readonly aggregator: Aggregator
  readonly clock: Clock
  readonly log: Logger
}

export class ApiServer {
  readonly #options: ApiServerOptions
  readonly #watches: Watches
  readonly #verbs: ResourceVerbs
  readonly #streams: StreamRequests
  readonly #seats = new FairQueue('cluster', SEATS)
  readonly #keys: SigningKeys
  readonly #authentication: Authentication
  readonly #gate: Gate
  readonly #others: OthersApi

  constructor(options: ApiServerOptions) {
    this.#options = options
    const { authenticate, authorizer, clients, clock, nodes, openCluster, serviceAccounts } = options
    const { kubelets } = options
    this.#watches = new Watches(clock)
    this.#keys = new SigningKeys(serviceAccounts.secret)
    const tokens = new ServiceAccountTokens({ keys: this.#keys, issuer: serviceAccounts.issuer, clock })
    this.#authentication = new Authentication({ authenticate, clients, tokens, openCluster, clock })
    this.#gate = new Gate({ ...options, authentication: this.#authentication })
    this.#others = new OthersApi({ ...options, gate: this.#gate })
    const proxy = { nodes, kubelets }
    this.#verbs = new ResourceVerbs({ authorizer, watches: this.#watches, proxy, tokens })
    this.#streams = new StreamRequests({
      ...options,
      gate: this.#gate,
      verbs: this.#verbs,
      others: this.#others,
      identify: id => this.#identify(id),
    })
  }

  /** How many watches are open. */
  get openWatches(): number {
    return this.#watches.size
  }

  /**
   * Answers one request, whatever happens.
   *
   * @param cluster id of the cluster that the path's prefix named
   * @param path what follows the prefix: percent-encoded, without the query, which is read from the request
   */
  async handle(
    cluster: string,
    path: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const answer = new Answer(request, response)
    try {
      await this.#serve(answer, cluster, path)
    } catch (error) {
      await this.#refuse(answer, cluster, error)
    }
  }

  /**
   * Serves a connection that asks for another protocol: a command in a pod, a forwarded port. Refusals are answers.
   *
   * @param head what came of the other protocol already
   */
  async upgrade(
    cluster: string,
    path: string,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
  ): Promise<void> {
    const response = new ServerResponse(request)
    response.assignSocket(socket as Socket)
    response.once('finish', () => socket.end())
    socket.on('error', () => socket.destroy())
    const answer = new Answer(request, response)
    let accepted = false
    const accept = () => {
      accepted = true
      response.detachSocket(socket as Socket)
    }
    try {
      const code = () => (accepted ? SWITCHED : response.statusCode)
      const connection = { request, socket, head, accept }
      await this.#streams.serve({ answer, connection, code, id: cluster, path })
    } catch (error) {
      if (accepted) {
        this.#options.log.debug({ cluster, reason: explainError(error) }, 'a stream ended with an error')
        socket.destroy()
      } else {
        response.setHeader('connection', 'close')
        await this.#refuse(answer, cluster, error)
      }
    }
  }

  /** Credentials of Drover may be good no more: what lasts is asked again for what it takes. */
  credentialsChanged(): void {
    this.#gate.credentialsChanged()
  }

  /** Ends all watches. */
  async stop(): Promise<void> {
    this.#watches.stop()
    await this.#gate.stop()
  }

  async #serve(answer: Answer, id: string, path: string): Promise<void> {
    const { request } = answer
    const { catalog } = this.#options
    const expected = findRoute(catalog, path)
    if (expected.type === 'public') return await this.#public(answer, id, expected)
    const { query } = requestTarget(request)
    const { cluster, identity, route } = await this.#gate.admit({
      request,
      query,
      carrier: answer.response,
      code: () => answer.response.statusCode,
      id,
      path,
      expected,
    })
    const remote = cluster.remoteApis.at(path)
    if (remote !== undefined) {
      const seated = (work: () => Promise<void>) => this.#seats.run(id, work).catch(retryLater)
      return await this.#others.answer({ answer, cluster, identity, remote, path }, seated)
    }
    switch (route.type) {
      case 'discovery':
        requireGet(request)
        return await answerDiscovery(
          answer,
          { catalog: cluster.catalog, others: this.#others.documents(cluster) },
          route.path,
        )
      case 'openapi':
        requireGet(request)
        return await answerOpenApi(
          answer,
          { catalog: cluster.catalog, others: this.#others.documents(cluster) },
          route.path,
        )
      case 'resource': {
        const { target } = route
        const identify = this.#identify(id)
        const carrier = answer.response
        const lasts = (attributes: Attributes, end?: () => void) =>
          this.#gate.lasts({
            cluster,
            request,
            carrier,
            attributes,
            watched: end && target.resource,
            end,
          })
        const work = () => this.#verbs.answer({ answer, cluster, identity, identify, target, query, lasts })
        // What lasts as long as its reader wants would keep a seat for as long.
        if (LASTING.has(target.subresource?.name ?? '')) return await work()
        return await this.#seats.run(id, work).catch(retryLater)
      }
      case 'index':
        requireGet(request)
        await this.#requirePath('/', identity, cluster)
        return await answerIndex(answer, cluster.catalog)
      case 'metrics':
        requireGet(request)
        await this.#requirePath('/metrics', identity, cluster)
        return await answer.send(200, clusterMetrics(cluster), METRICS_TYPE)
      case 'issuer':
        requireGet(request)
        return await this.#issuer(answer, cluster, identity, route.document)
      default:
        throw pathNotFound()
    }
  }

  /** What others need to check tokens of service accounts. */
  async #issuer(
    answer: Answer,
    cluster: Cluster,
    identity: Identity,
    document: 'configuration' | 'keys',
  ): Promise<void> {
    const path = document === 'keys' ? '/openid/v1/jwks' : '/.well-known/openid-configuration'
    await this.#requirePath(path, identity, cluster)
    if (document === 'keys') {
      await answer.send(200, keySet(this.#keys.of(cluster.id)), 'application/jwk-set+json')
    } else await answer.send(200, issuerConfiguration(this.#options.serviceAccounts.issuer(cluster.id)))
  }

  /** @throws `Forbidden` */
  async #requirePath(path: string, identity: Identity, cluster: Cluster): Promise<void> {
    const nothing = { group: '', resource: '', subresource: '', namespace: '', name: '' }
    const attributes = { identity, verb: 'get', ...nothing, path, requiredField: () => undefined }
    await requireAccess(this.#options.authorizer, attributes, cluster)
  }

  /** Who a token belongs to in a cluster. */
  #identify(id: string): Identify {
    return (bearerToken, audiences) => this.#authentication.identify(id, { bearerToken }, audiences)
  }

  async #public(answer: Answer, id: string, route: PublicRoute): Promise<void> {
    requireGet(answer.request)
    if (route.name === 'version') {
      await answer.send(200, versionDocument(await this.#version(answer.request, id)))
      return
    }
    const text = healthText(route.endpoint, route.check, requestTarget(answer.request).query.has('verbose'))
    if (text === undefined) throw pathNotFound()
    await answer.send(200, text, 'text/plain; charset=utf-8')
  }

  /** What the cluster speaks; to strangers, who must not learn whether it exists, the usual version. */
  async #version(request: IncomingMessage, id: string): Promise<string> {
    const owner = await this.#authentication.identify(id, credentialsOf(request))
    const cluster = owner && (await this.#options.openCluster(id))
    return (cluster?.catalog ?? this.#options.catalog).version
  }

  async #refuse(answer: Answer, cluster: string, error: unknown): Promise<void> {
    const { response, request } = answer
    const status = toStatusError(error)
    if (response.headersSent || response.destroyed) {
      // The client went away, or an answer broke in the middle: there is nobody to tell.
      this.#options.log.debug({ cluster, reason: explainError(error) }, 'an answer was cut off')
      response.destroy()
      return
    }
    if (status.reason === 'InternalError' && status.foreign === undefined) {
      this.#options.log.error({ err: error, cluster, method: request.method }, 'a request failed')
    }
    // The rest of a body that nobody will read must not be waited for.
    if (!request.complete) response.setHeader('connection', 'close')
    const seconds = status.details?.retryAfterSeconds
    if (seconds !== undefined) response.setHeader('retry-after', String(seconds))
    response.setHeader('content-type', 'application/json')
    response.writeHead(status.status)
    response.end(answer.readable(JSON.stringify(statusObject(status))))
  }
}

/** @throws `TooManyRequests` where the queue is full, the error otherwise */
function retryLater(error: unknown): never {
  if (!isDroverError(error, 'QueueFull')) throw error
  const message = 'the cluster has too many requests waiting, please try again later'
  throw new StatusError('TooManyRequests', message, { retryAfterSeconds: 1 }, error)
}

/** @throws `MethodNotAllowed` */
function requireGet(request: IncomingMessage): void {
  if (request.method !== 'GET') {
    throw new StatusError(
      'MethodNotAllowed',
      'the server does not allow this method on the requested resource',
    )
  }
}
