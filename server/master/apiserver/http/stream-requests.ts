import { type Logger, requestTarget } from '../../../../kit/index.ts'
import { type Attributes, type Authorizer, type Identity, requireAccess } from '../access/index.ts'
import type { Catalog } from '../catalog/index.ts'
import type { Cluster } from '../cluster/index.ts'
import type { Frozen } from '../json.ts'
import type { NodeGateway } from '../nodes.ts'
import type { Pod } from '../objects.ts'
import { getObject } from '../operations/index.ts'
import type { Identify } from '../reviews/index.ts'
import { badRequest } from '../status.ts'
import {
  commonSubprotocol,
  isWebsocket,
  type RawConnection,
  READER_SUBPROTOCOLS,
  type StreamKind,
  StreamUpgrades,
  Websockets,
} from '../streams/index.ts'
import type { Answer } from './answer.ts'
import { requireAdmitted } from './connections.ts'
import type { Gate } from './gate.ts'
import type { OthersApi, OthersRequest } from './others-api.ts'
import type { ResourceVerbs } from './resource-verbs.ts'
import { findRoute, type ResourceTarget } from './route.ts'

export interface StreamRequestsOptions {
  /** What clusters serve until they choose their version. */
  readonly catalog: Catalog
  readonly authorizer: Authorizer
  readonly nodes: NodeGateway
  readonly gate: Gate
  readonly verbs: ResourceVerbs
  readonly others: OthersApi
  /** Who a token belongs to in a cluster. */
  readonly identify: (cluster: string) => Identify
  readonly log: Logger
}

export interface StreamRequest {
  /** For refusals. */
  readonly answer: Answer
  readonly connection: RawConnection
  /** The status of the answer, when it is over. */
  readonly code: () => number
  /** Of the cluster. */
  readonly id: string
  readonly path: string
}

/** A connection that asks for another protocol, as its path names it. */
interface StreamArrival {
  readonly cluster: Cluster
  readonly identity: Identity
  readonly target: ResourceTarget
}

export class StreamRequests {
  readonly #options: StreamRequestsOptions
  readonly #upgrades: StreamUpgrades
  /** For what is only read. */
  readonly #readers: Websockets

  constructor(options: StreamRequestsOptions) {
    this.#options = options
    this.#upgrades = new StreamUpgrades(options.nodes, options.log)
    this.#readers = new Websockets(READER_SUBPROTOCOLS, options.log)
  }

  /** Serves one to its end. @throws what refuses it, as long as that can be told */
  async serve({ answer, connection, code, id, path }: StreamRequest): Promise<void> {
    const arrival = await this.#arrive(answer, code, id, path)
    if ('remote' in arrival) return await this.#options.others.upgrade(arrival, connection)
    const kind = arrival.target.subresource?.name
    if (kind === 'exec' || kind === 'attach' || kind === 'portforward')
      await this.#command(connection, arrival, kind)
    else await this.#websocket(connection, answer, arrival)
  }

  /** Lets a connection in that asks for another protocol. @throws `BadRequest` where there is none, and as the gate */
  async #arrive(
    answer: Answer,
    code: () => number,
    id: string,
    path: string,
  ): Promise<StreamArrival | OthersRequest> {
    const { request } = answer
    const { cluster, identity, route } = await this.#options.gate.admit({
      request,
      query: requestTarget(request).query,
      carrier: request.socket,
      code,
      id,
      path,
      expected: findRoute(this.#options.catalog, path),
    })
    const remote = cluster.remoteApis.at(path)
    if (remote !== undefined) return { answer, cluster, identity, remote, path }
    if (route.type !== 'resource') throw badRequest('nothing here speaks another protocol')
    return { cluster, identity, target: route.target }
  }

  /** A command in a pod, or forwarded ports. */
  async #command(connection: RawConnection, arrival: StreamArrival, kind: StreamKind): Promise<void> {
    const { cluster, identity, target } = arrival
    const { request } = connection
    const attributes: Attributes = {
      identity,
      // Also for websockets, which begin with a GET: who may only read must not run commands.
      verb: 'create',
      group: '',
      resource: 'pods',
      subresource: kind,
      namespace: target.namespace,
      name: target.name,
      requiredField: () => undefined,
    }
    await requireAccess(this.#options.authorizer, attributes, cluster)
    const { query } = requestTarget(request)
    // There is no answer that could warn.
    await requireAdmitted({ cluster, identity, target, query, warn: () => undefined })
    const carrier = request.socket
    this.#options.gate.lasts({ cluster, request, carrier, attributes, watched: undefined, end: undefined })
    const pod = cluster.read(
      getObject(cluster, target.resource, target.namespace, target.name),
    ) as Frozen<Pod>
    await this.#upgrades.serve(connection, { kind, cluster: cluster.id, pod, query })
  }

  /** A watch, or a log. */
  async #websocket(connection: RawConnection, answer: Answer, arrival: StreamArrival): Promise<void> {
    const { request } = connection
    if (!isWebsocket(request)) throw badRequest('the connection must be upgraded to websocket')
    commonSubprotocol(request, READER_SUBPROTOCOLS)
    const { query } = requestTarget(request)
    const { cluster } = arrival
    const content = await this.#options.verbs.overWebsocket({
      ...arrival,
      answer,
      query,
      identify: this.#options.identify(cluster.id),
    })
    try {
      const end = content.serve(await this.#readers.accept(connection))
      this.#options.gate.lasts({ ...content, cluster, request, carrier: request.socket, end })
    } catch (error) {
      content.discard()
      throw error
    }
  }
}
