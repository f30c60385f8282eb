/** Where every request arrives: decides by its path who answers it. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Logger, requestTarget, sendText } from '../../kit/index.ts'
import { apiErrors, type DroverApi, type RegistrationApi, sendApiError } from '../api/index.ts'
import type { AgentLinks } from './agent-links.ts'
import { clusterTarget } from './cluster-target.ts'
import type { HostStreams } from './host-streams.ts'
import { refuseUpgrade } from './upgrade.ts'

/** Whoever serves the Kubernetes API of the clusters. */
export interface KubernetesFace {
  /** @param path inside of the cluster's API, without the query */
  handle(clusterId: string, path: string, request: IncomingMessage, response: ServerResponse): Promise<void>

  /** A connection that asks for another protocol. @param head what came of it already */
  upgrade(
    clusterId: string,
    path: string,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
  ): Promise<void>
}

export interface FrontDoorParts {
  readonly api: DroverApi
  readonly registration: RegistrationApi
  readonly kubernetes: KubernetesFace
  readonly links: AgentLinks
  readonly streams: HostStreams
  readonly log: Logger
}

const STREAM = /^\/v1\/(exec|logs)\/?$/

/** A browser says where the page is from that asks; only pages of this very server may. */
export function originAllowed(request: IncomingMessage): boolean {
  const { origin, host } = request.headers
  if (origin === undefined) return true
  try {
    return new URL(origin).host === host
  } catch {
    // `null` and other things that are no URL come from pages that hide where they are from.
    return false
  }
}

export class FrontDoor {
  readonly #parts: FrontDoorParts

  constructor(parts: FrontDoorParts) {
    this.#parts = parts
  }

  /** @param encrypted whether the request came over TLS */
  request(request: IncomingMessage, response: ServerResponse, encrypted: boolean): void {
    const { api, registration, kubernetes, log } = this.#parts
    const { path } = requestTarget(request)
    const cluster = clusterTarget(path, request)
    if (cluster !== undefined) {
      kubernetes
        .handle(cluster.clusterId, cluster.path, request, response)
        .catch(error => sendApiError(response, error, log))
    } else if (path === '/v3/connection') registration.connection(request, response)
    else if (path === '/v3/register') void registration.register(request, response)
    else if (path === '/v3' || path.startsWith('/v3/')) void api.handle(request, response, encrypted)
    else if (path === '/scripts/ca.crt') registration.authority(response)
    else if (path === '/ping') sendText(response, 200, 'pong')
    else if (path === '/') response.writeHead(302, { location: '/v3' }).end()
    else sendApiError(response, apiErrors.NotFound({ object: path }), log)
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, encrypted: boolean): void {
    const { kubernetes, links, log, streams } = this.#parts
    const { path, query } = requestTarget(request)
    const stream = STREAM.exec(path)
    const cluster = clusterTarget(path, request)
    if (!originAllowed(request)) refuseUpgrade(socket, 403, 'pages of other sites may not connect here')
    else if (path === '/v3/connect' && encrypted) links.upgrade(request, socket, head)
    else if (stream !== null) {
      streams.upgrade(stream[1] as 'exec' | 'logs', query.get('token') ?? '', request, socket, head)
    } else if (cluster !== undefined) {
      kubernetes.upgrade(cluster.clusterId, cluster.path, request, socket, head).catch(error => {
        log.error({ err: error }, 'a connection to the Kubernetes API failed')
        socket.destroy()
      })
    } else refuseUpgrade(socket, 404, 'nothing here speaks another protocol')
  }
}
