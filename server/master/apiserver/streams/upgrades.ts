/** Connections that ask for another protocol: which one, and who serves them. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { createWebSocketStream } from 'ws'
import type { Logger } from '../../../../kit/index.ts'
import type { Frozen } from '../json.ts'
import type { NodeGateway } from '../nodes.ts'
import type { Pod } from '../objects.ts'
import { badRequest } from '../status.ts'
import { commandOptions } from './command.ts'
import { SPDY_COMMAND_PROTOCOL, serveCommandSpdy } from './command-spdy.ts'
import { COMMAND_SUBPROTOCOLS, serveCommandWebsocket } from './command-websocket.ts'
import { containerOf } from './container-of.ts'
import {
  type Connect,
  PORT_CHANNELS_SUBPROTOCOL,
  PORT_FORWARD_PROTOCOL,
  portsOf,
  servePortChannels,
  servePortSpdy,
  TUNNEL_SUBPROTOCOL,
} from './port-forward.ts'
import { commonSubprotocol, isWebsocket, offered, type RawConnection, Websockets } from './websockets.ts'

export type StreamKind = 'exec' | 'attach' | 'portforward'

export interface StreamRequest {
  readonly kind: StreamKind
  readonly cluster: string
  readonly pod: Frozen<Pod>
  readonly query: URLSearchParams
}

export class StreamUpgrades {
  readonly #nodes: NodeGateway
  readonly #log: Logger
  readonly #websockets: Websockets

  constructor(nodes: NodeGateway, log: Logger) {
    this.#nodes = nodes
    this.#log = log
    this.#websockets = new Websockets([TUNNEL_SUBPROTOCOL, ...COMMAND_SUBPROTOCOLS], log)
  }

  /**
   * Serves a connection from its upgrade to its end.
   *
   * @throws `BadRequest` for what no client of Kubernetes asks, and what the node says, as long as it can be told
   */
  async serve(connection: RawConnection, request: StreamRequest): Promise<void> {
    const { nodeName = '' } = request.pod.spec
    const { name } = request.pod.metadata
    if (nodeName === '') throw badRequest(`pod ${name} does not have a host assigned`)
    if (request.kind === 'portforward') await this.#forward(connection, request, nodeName)
    else await this.#command(connection, request, request.kind, nodeName)
  }

  async #command(
    connection: RawConnection,
    { cluster, pod, query }: StreamRequest,
    kind: 'exec' | 'attach',
    node: string,
  ): Promise<void> {
    const options = commandOptions(query, kind)
    const { namespace = '', name, uid = '' } = pod.metadata
    const container = containerOf(pod, query.get('container') ?? '')
    const command = { namespace, pod: name, uid, container, ...options }
    const open = () => this.#nodes.runCommand(cluster, node, command)
    if (isWebsocket(connection.request)) {
      this.#requireSubprotocol(connection.request, COMMAND_SUBPROTOCOLS)
      const stream = await open()
      try {
        await serveCommandWebsocket(await this.#websockets.accept(connection), stream)
      } finally {
        // Also where the client went away before anybody could speak.
        stream.destroy()
      }
    } else {
      acceptSpdy(connection, SPDY_COMMAND_PROTOCOL)
      await serveCommandSpdy(withHead(connection), options, open, this.#log)
    }
  }

  async #forward(
    connection: RawConnection,
    { cluster, pod, query }: StreamRequest,
    node: string,
  ): Promise<void> {
    const { namespace = '', name, uid = '' } = pod.metadata
    const connect: Connect = port =>
      this.#nodes.connectToPod(cluster, node, { namespace, pod: name, uid, port })
    if (!isWebsocket(connection.request)) {
      acceptSpdy(connection, PORT_FORWARD_PROTOCOL)
      return await servePortSpdy(withHead(connection), connect, this.#log)
    }
    const known = [TUNNEL_SUBPROTOCOL, PORT_CHANNELS_SUBPROTOCOL]
    if (this.#requireSubprotocol(connection.request, known) === TUNNEL_SUBPROTOCOL) {
      const tunnel = createWebSocketStream(await this.#websockets.accept(connection))
      return await servePortSpdy(tunnel, connect, this.#log)
    }
    const ports = portsOf(query)
    await servePortChannels(await this.#websockets.accept(connection), ports, connect)
  }

  /** The first of the protocols known here that the client offers. @throws `BadRequest` */
  #requireSubprotocol(request: IncomingMessage, known: readonly string[]): string {
    const chosen = commonSubprotocol(request, known)
    if (chosen === undefined)
      throw badRequest(`the websocket must offer one of the protocols ${known.join(', ')}`)
    return chosen
  }
}

/** @throws `BadRequest` for another protocol than SPDY, or another use of it */
function acceptSpdy({ request, socket, accept }: RawConnection, protocol: string): void {
  if (!/^spdy\/3\.1$/i.test(request.headers.upgrade ?? '')) {
    throw badRequest('the connection must be upgraded to websocket or SPDY/3.1')
  }
  if (!offered(request, 'x-stream-protocol-version').includes(protocol)) {
    throw badRequest(`the client must offer the stream protocol ${protocol}`)
  }
  accept()
  socket.write(
    [
      'HTTP/1.1 101 Switching Protocols',
      'Connection: Upgrade',
      'Upgrade: SPDY/3.1',
      `X-Stream-Protocol-Version: ${protocol}`,
      '',
      '',
    ].join('\r\n'),
  )
}

/** The connection with the bytes that came together with its request. */
function withHead({ socket, head }: RawConnection): Duplex {
  if (head.length > 0) socket.unshift(head)
  return socket
}
