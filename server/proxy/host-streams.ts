/** Streams between clients and hosts: a container's terminal and its log (`/v1/exec/`, `/v1/logs/`). */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { explainError } from '../../kit/index.ts'
import { closeReason, encodeTerminalFrame, type TerminalFrame } from '../../protocol/index.ts'
import type { HostAccess, HostAccessIssuer } from '../api/index.ts'
import { createCredentials, hashSecret } from '../auth/index.ts'
import type { Collection, Container } from '../model/index.ts'
import type { AgentLinks } from './agent-links.ts'
import { refuseUpgrade } from './upgrade.ts'

type StreamKind = 'exec' | 'logs'

interface Grant {
  readonly kind: StreamKind
  readonly hostId: string
  readonly params: Readonly<Record<string, unknown>>
  readonly expires: number
  /** With which it was asked for. */
  readonly keyId: string
}

/** Milliseconds within which a granted stream is opened. */
const GRANT_LIFE = 300_000
const MAXIMUM_GRANTS = 10_000
const MESSAGE_LIMIT = 1024 * 1024
/** A client that does not read makes its host wait, not this server's memory grow. */
const BACKLOG_LIMIT = 1024 * 1024
/** Milliseconds in which a client has said goodbye. */
const CLOSE_PATIENCE = 2_000

/** Messages of a terminal that change its size instead of being typed. */
const RESIZE = /^:resizeTTY:(\d{1,5}),(\d{1,5})$/

/** Websocket close code (RFC 6455, 7.4.1). */
const POLICY_VIOLATION = 1008

export class HostStreams implements HostAccessIssuer {
  readonly #links: AgentLinks
  readonly #baseUrl: string
  readonly #websockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MESSAGE_LIMIT,
  })
  readonly #grants = new Map<string, Grant>()
  /** By API key. */
  readonly #open = new Map<string, Set<WebSocket>>()

  /**
   * @param advertisedUrl the server's https URL, for the URLs of streams
   * @param keys what was opened with one of them ends with it
   */
  constructor(links: AgentLinks, advertisedUrl: string, keys: Collection<'apiKey'>) {
    this.#links = links
    this.#baseUrl = advertisedUrl.replace(/^http/, 'ws')
    keys.onChange((key, previous) => {
      if (previous !== undefined && key?.state !== 'active') this.#revoke(previous.id)
    })
  }

  grant(
    kind: StreamKind,
    container: Container,
    params: Readonly<Record<string, unknown>>,
    keyId: string,
  ): HostAccess {
    const now = Date.now()
    for (const [hash, { expires }] of this.#grants) {
      // Insertion order is order of expiry.
      if (expires > now && this.#grants.size < MAXIMUM_GRANTS) break
      this.#grants.delete(hash)
    }
    const { secretKey: token } = createCredentials()
    this.#grants.set(hashSecret(token), {
      kind,
      hostId: container.hostId ?? '',
      params: { ...params, container: container.externalId },
      expires: now + GRANT_LIFE,
      keyId,
    })
    return { url: `${this.#baseUrl}/v1/${kind}/`, token }
  }

  /** Takes over a connection to `/v1/<kind>/?token=…`. */
  upgrade(kind: StreamKind, token: string, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const hash = hashSecret(token)
    const grant = this.#grants.get(hash)
    // One token opens one stream, so that a token seen in a log is worth nothing.
    this.#grants.delete(hash)
    if (grant === undefined || grant.kind !== kind || grant.expires < Date.now()) {
      refuseUpgrade(socket, 401, 'the token is not valid (any more); ask for a new one')
      return
    }
    let stream: Duplex
    try {
      stream = this.#links.require(grant.hostId).openStream(kind, grant.params)
    } catch (error) {
      refuseUpgrade(socket, 503, explainError(error))
      return
    }
    // A client that goes away before it is a websocket leaves nothing behind on the host.
    const abandon = () => stream.destroy()
    socket.once('close', abandon)
    this.#websockets.handleUpgrade(request, socket, head, websocket => {
      socket.off('close', abandon)
      relay(websocket, stream, kind === 'exec')
      this.#remember(websocket, grant.keyId)
    })
  }

  #remember(websocket: WebSocket, keyId: string): void {
    const open = this.#open.get(keyId) ?? new Set()
    this.#open.set(keyId, open.add(websocket))
    websocket.once('close', () => {
      open.delete(websocket)
      if (open.size === 0 && this.#open.get(keyId) === open) this.#open.delete(keyId)
    })
  }

  #revoke(keyId: string): void {
    for (const [hash, grant] of this.#grants) if (grant.keyId === keyId) this.#grants.delete(hash)
    for (const websocket of this.#open.get(keyId) ?? []) {
      websocket.close(POLICY_VIOLATION, 'the API key was removed')
      // Whoever does not answer that is not waited for.
      setTimeout(() => websocket.terminate(), CLOSE_PATIENCE).unref()
    }
  }
}

/** Carries bytes both ways: base64 text messages for a terminal, plain binary ones for a log. */
function relay(websocket: WebSocket, stream: Duplex, terminal: boolean): void {
  stream.on('data', (data: Buffer) => {
    websocket.send(terminal ? data.toString('base64') : data, () => {
      if (stream.isPaused() && websocket.bufferedAmount <= BACKLOG_LIMIT) stream.resume()
    })
    if (websocket.bufferedAmount > BACKLOG_LIMIT) stream.pause()
  })
  stream.on('end', () => websocket.close(1000))
  stream.on('error', error => websocket.close(1011, closeReason(error.message)))
  stream.on('drain', () => websocket.resume())
  websocket.on('message', data => {
    if (!stream.write(encodeTerminalFrame(terminalFrame(data.toString())))) websocket.pause()
  })
  websocket.on('close', () => stream.destroy())
  websocket.on('error', () => stream.destroy())
}

/** A message of the `/v1/exec/` protocol: a new size, or typed bytes in base64. */
function terminalFrame(text: string): TerminalFrame {
  const resize = RESIZE.exec(text)
  return resize === null
    ? { kind: 'input', data: Buffer.from(text, 'base64') }
    : { kind: 'resize', size: { columns: Number(resize[1]), rows: Number(resize[2]) } }
}
