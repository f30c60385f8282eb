/**
 * Speaks to the backends of clusters. A service inside of a cluster is reached through the agent of the host that one of
 * its ready pods runs on, as the subresource `proxy` does: only hosts of that cluster are asked, and no address is.
 */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { atMost, FairQueue, type FairQueueLimits, withDeadline, withoutSeat } from '../../../../kit/index.ts'
import type { NodeGateway } from '../nodes.ts'
import { StatusError } from '../status.ts'
import { type Backend, hostOf, trustKey } from './backend.ts'
import { type Route, type RoutedOptions, secured, WarmConnections } from './connections.ts'
import { type ClusterView, type Destination, endpointsOf } from './endpoints.ts'
import { type FindOutside, findOutside } from './outside-addresses.ts'

/** Milliseconds until an address outside has to accept a connection. */
const CONNECT_DEADLINE = 10_000
/** Pods of one service that are tried for one request. */
const MOST_TRIED = 3
/** Exchanges at a time; each holds a body of at most a few MiB. */
const EXCHANGES: FairQueueLimits = { seats: 1024, seatsEach: 128, waitingEach: 512 }

export interface OpenRequest {
  readonly method: string
  /** With the query. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  /** Ends the request. */
  readonly signal?: AbortSignal
}

export interface ExchangeRequest extends OpenRequest {
  readonly body: string
  /** Milliseconds until the whole answer has to be there. */
  readonly deadline: number
  /** Bytes that the answer may have. */
  readonly answerLimit: number
}

export interface BackendAnswer {
  readonly status: number
  readonly body: Buffer
}

export interface BackendClientOptions {
  readonly nodes: NodeGateway
  /** What addresses outside may be connected to; all that are not this machine's own unless a test says otherwise. */
  readonly findOutside?: FindOutside | undefined
}

function shuffled<T>(items: readonly T[]): T[] {
  const start = Math.floor(Math.random() * items.length)
  return [...items.slice(start), ...items.slice(0, start)]
}

export class BackendClient {
  readonly #nodes: NodeGateway
  readonly #findOutside: FindOutside
  readonly #warm = new WarmConnections()
  readonly #exchanges = new FairQueue('cluster', EXCHANGES)

  constructor(options: BackendClientOptions) {
    this.#nodes = options.nodes
    this.#findOutside = options.findOutside ?? findOutside
  }

  /**
   * A connection for the caller alone, for other protocols than HTTP requests.
   *
   * @throws `NotFound`, `ServiceUnavailable` when nothing serves the backend; why it could not be connected to
   */
  async connect(cluster: ClusterView, backend: Backend): Promise<TLSSocket> {
    return await this.#tryEach(await this.#routes(cluster, backend), route => route.open())
  }

  /**
   * Begins a request, over a warm connection where there is one. The caller writes its body, if it has one, and ends it;
   * errors from then on are events of the request.
   *
   * @throws `NotFound`, `ServiceUnavailable` when nothing serves the backend; why it could not be connected to
   */
  async open(cluster: ClusterView, backend: Backend, request: OpenRequest): Promise<ClientRequest> {
    const routes = await this.#routes(cluster, backend)
    return await this.#tryEach(routes, route => this.#begin(route, backend, request))
  }

  /**
   * Sends one request and reads its answer, whatever its status is. Redirections are not followed.
   *
   * @throws `DeadlineExceeded`, `NotFound`, `ServiceUnavailable`, `QueueFull`, why it could not be reached, or read
   */
  async exchange(cluster: ClusterView, backend: Backend, request: ExchangeRequest): Promise<BackendAnswer> {
    const { deadline, signal } = request
    const parent = signal === undefined ? cluster.closing : AbortSignal.any([cluster.closing, signal])
    // A slow backend of one cluster must not take the seats of the requests of others.
    return await withoutSeat(() =>
      withDeadline(
        deadline,
        hostOf(backend),
        inTime =>
          this.#exchanges.run(cluster.id, async () => {
            inTime.throwIfAborted()
            return await this.#exchange(cluster, backend, { ...request, signal: inTime })
          }),
        parent,
      ),
    )
  }

  /** Ends all connections. */
  stop(): void {
    this.#warm.destroy()
  }

  async #exchange(cluster: ClusterView, backend: Backend, request: ExchangeRequest): Promise<BackendAnswer> {
    const headers = { ...request.headers, 'content-length': String(Buffer.byteLength(request.body)) }
    for (;;) {
      const outgoing = await this.open(cluster, backend, { ...request, headers })
      try {
        const response = await responseTo(outgoing, request.body)
        return { status: response.statusCode ?? 0, body: await readBody(response, request.answerLimit) }
      } catch (error) {
        // A warm connection may have ended at the other side; every one that fails so is used up.
        const isStale = error instanceof NoResponse && outgoing.reusedSocket
        if (!isStale || request.signal?.aborted === true)
          throw error instanceof NoResponse ? error.cause : error
      }
    }
  }

  async #begin(route: Route, backend: Backend, request: OpenRequest): Promise<ClientRequest> {
    const options: RoutedOptions = {
      route,
      agent: this.#warm,
      method: request.method,
      path: request.path,
      headers: { host: hostOf(backend), ...(request.headers as Record<string, string>) },
      ...(request.signal === undefined ? {} : { signal: request.signal }),
    }
    const outgoing = httpRequest(options)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    outgoing.once('socket', () => resolve())
    outgoing.once('error', reject)
    outgoing.once('close', () => reject(new Error('the request was ended')))
    await promise
    // Whoever goes on with it listens for the next one.
    outgoing.removeListener('error', reject)
    outgoing.on('error', () => undefined)
    return outgoing
  }

  async #tryEach<T>(routes: readonly Route[], use: (route: Route) => Promise<T>): Promise<T> {
    let failure: unknown
    for (const route of routes.slice(0, MOST_TRIED)) {
      try {
        return await use(route)
      } catch (error) {
        failure = error
      }
    }
    throw failure
  }

  async #routes(cluster: ClusterView, backend: Backend): Promise<readonly Route[]> {
    const { address } = backend
    const routes =
      address.type === 'service'
        ? endpointsOf(cluster, address.namespace, address.name, String(address.port)).map(destination =>
            this.#routeToPod(cluster, backend, destination),
          )
        : [await this.#routeOutside(cluster, backend, address.url)]
    const isWarm = (route: Route) => this.#warm.isWarm(route)
    return shuffled(routes).toSorted((a, b) => Number(isWarm(b)) - Number(isWarm(a)))
  }

  #routeToPod(cluster: ClusterView, backend: Backend, { pod, port }: Destination): Route {
    const { nodeName = '' } = pod.spec
    const { namespace = '', name, uid = '' } = pod.metadata
    return {
      key: `${cluster.id} ${hostOf(backend)} ${uid}:${port} ${trustKey(backend)}`,
      open: async () => {
        if (nodeName === '') {
          throw new StatusError('ServiceUnavailable', `pod ${name} does not have a host assigned`)
        }
        const target = { namespace, pod: name, uid, port }
        return await secured(await this.#nodes.connectToPod(cluster.id, nodeName, target), backend)
      },
    }
  }

  async #routeOutside(cluster: ClusterView, backend: Backend, url: URL): Promise<Route> {
    const { address, family } = await this.#findOutside(url.hostname)
    const port = url.port === '' ? 443 : Number(url.port)
    return {
      key: `${cluster.id} ${hostOf(backend)} ${address} ${trustKey(backend)}`,
      open: async () => await secured(await connectOutside(address, family, port), backend),
    }
  }
}

async function connectOutside(host: string, family: number, port: number) {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const socket = connect({ host, family, port }, resolve)
  socket.on('error', reject)
  try {
    await atMost(CONNECT_DEADLINE, `${host}:${port}`, promise)
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** A request ended without a response; never seen outside of this module. */
class NoResponse extends Error {}

async function responseTo(outgoing: ClientRequest, body: string): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  outgoing.once('response', resolve)
  outgoing.once('error', cause => reject(new NoResponse(cause.message, { cause })))
  outgoing.once('close', () => reject(new NoResponse('EOF', { cause: new Error('EOF') })))
  outgoing.end(body)
  return await promise
}

async function readBody(response: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > limit) throw new Error(`the answer has more than ${limit} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
