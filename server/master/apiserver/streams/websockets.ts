/** Connections become websockets. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { explainError, type Logger } from '../../../../kit/index.ts'
import { TOKEN_PROTOCOL } from '../access/index.ts'
import { badRequest } from '../status.ts'

/** Bytes of one message of a client. */
const MESSAGE_LIMIT = 1024 * 1024

/** A connection whose bytes nobody has touched yet. */
export interface RawConnection {
  readonly request: IncomingMessage
  readonly socket: Duplex
  readonly head: Buffer
  /** Called at the moment when an answer that refuses is no longer possible. */
  readonly accept: () => void
}

/** What a client offers in a header that is a list. */
export function offered(request: IncomingMessage, header: string): readonly string[] {
  return (request.headersDistinct[header] ?? []).flatMap(value => value.split(',')).map(value => value.trim())
}

export function isWebsocket(request: IncomingMessage): boolean {
  return /^websocket$/i.test(request.headers.upgrade ?? '')
}

/**
 * The first of the protocols known here that the client offers; undefined where it offers none.
 *
 * @throws `BadRequest` when it offers others only
 */
export function commonSubprotocol(request: IncomingMessage, known: readonly string[]): string | undefined {
  const sent = offered(request, 'sec-websocket-protocol').filter(
    protocol => !protocol.startsWith(TOKEN_PROTOCOL),
  )
  const chosen = known.find(protocol => sent.includes(protocol))
  if (chosen === undefined && sent.length > 0)
    throw badRequest(`the websocket must offer one of the protocols ${known.join(', ')}`)
  return chosen
}

export class Websockets {
  readonly #log: Logger
  readonly #server: WebSocketServer

  /** @param known protocols that are spoken, the preferred one first */
  constructor(known: readonly string[], log: Logger) {
    this.#log = log
    this.#server = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      maxPayload: MESSAGE_LIMIT,
      handleProtocols: protocols => known.find(each => protocols.has(each)) ?? false,
    })
  }

  /** @throws `BadRequest` when the client goes away, or shakes hands wrongly, of which it is told */
  async accept({ request, socket, head, accept }: RawConnection): Promise<WebSocket> {
    accept()
    const { promise, resolve, reject } = Promise.withResolvers<WebSocket>()
    // A handshake that is wrong is answered by the library, which then only ends the connection.
    const fail = () => reject(badRequest('the connection ended before it was a websocket'))
    socket.once('close', fail)
    if (socket.destroyed) fail()
    else this.#server.handleUpgrade(request, socket, head, resolve)
    const websocket = await promise
    socket.off('close', fail)
    websocket.on('error', error => this.#log.debug({ reason: explainError(error) }, 'a websocket broke off'))
    return websocket
  }
}
