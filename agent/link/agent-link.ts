/** The agent's connection to its server: opened, kept, opened again. */
import { randomUUID } from 'node:crypto'
import { WebSocket } from 'ws'
import { Backoff, type Daemon, type Logger, sleep } from '../../kit/index.ts'
import {
  type AgentMessage,
  type HostFacts,
  LINK_MESSAGE_LIMIT,
  LINK_VERSION,
  LinkConnection,
  type LinkStream,
  type MessageOfType,
  type MetadataPosition,
  type OwnMessage,
  protocolErrors,
  type ServerMessage,
  serverMessage,
} from '../../protocol/index.ts'
import type { Membership } from './membership.ts'

export interface AgentLinkHandlers {
  /** The server took this host in; called on every connection. */
  readonly onWelcome: (welcome: MessageOfType<ServerMessage, 'welcome'>) => void
  readonly onMessage: (message: Exclude<OwnMessage<ServerMessage>, { type: 'welcome' }>) => void
  readonly onStream: (kind: string, params: unknown, stream: LinkStream) => void
  readonly onDisconnected: () => void
}

export interface AgentLinkOptions {
  readonly membership: Membership
  readonly log: Logger
  /** Asked anew for every connection. */
  readonly hello: () => { readonly host: HostFacts; readonly metadata: MetadataPosition | undefined }
  readonly handlers: AgentLinkHandlers
}

const HANDSHAKE_DEADLINE = 10_000
/** Random delays up to this many milliseconds: a whole fleet comes back within seconds, not at one moment. */
const LONGEST_DELAY = 3_000
/** While the server refuses the credentials, asking often is no use. */
const REFUSED_DELAY = 30_000

export class AgentLink implements Daemon {
  readonly name = 'link'
  readonly #options: AgentLinkOptions
  readonly #session = randomUUID()
  readonly #abort = new AbortController()
  readonly #backoff = new Backoff({ initial: 250, maximum: LONGEST_DELAY, jitter: 1 })
  #connection: LinkConnection<ServerMessage, AgentMessage> | undefined
  #welcomed = false
  #running: Promise<void> = Promise.resolve()

  constructor(options: AgentLinkOptions) {
    this.#options = options
  }

  /** Whether the server is being talked to. */
  get connected(): boolean {
    return this.#welcomed
  }

  /** Begins to connect; the agent works with or without success. */
  start(): Promise<void> {
    this.#running = this.#stayConnected()
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    this.#connection?.close('the agent stops')
    await this.#running
  }

  /** Sends a message if the server is being talked to; false when it is not. */
  send(message: OwnMessage<AgentMessage>): boolean {
    if (!this.#welcomed || this.#connection === undefined) return false
    this.#connection.send(message)
    return true
  }

  /** @throws the server's error, `DeadlineExceeded`, `LinkClosed` */
  async request(method: string, params: unknown, deadline: number): Promise<unknown> {
    if (!this.#welcomed || this.#connection === undefined)
      throw protocolErrors.LinkClosed({ object: 'server' })
    return await this.#connection.request(method, params, deadline)
  }

  async #stayConnected(): Promise<void> {
    const { log, membership } = this.#options
    const { signal } = this.#abort
    while (!signal.aborted) {
      const reason = await this.#connectOnce()
      if (signal.aborted) return
      const refused = /\b401\b/.test(reason)
      const delay = refused ? REFUSED_DELAY : this.#backoff.next()
      const note = { server: membership.serverUrl, reason, retryIn: Math.round(delay) }
      if (refused) log.error(note, 'the server refuses this host: register it again with a new token')
      else log.info(note, 'not connected to the server')
      await sleep(delay, signal).catch(() => undefined)
    }
  }

  /** Holds one connection; resolves with the reason of its end. */
  #connectOnce(): Promise<string> {
    const { membership, log, handlers } = this.#options
    const { accessKey, secretKey, serverUrl, authority } = membership
    const url = new URL('/v3/connect', serverUrl.replace(/^http/, 'ws'))
    const socket = new WebSocket(url, {
      ca: authority,
      handshakeTimeout: HANDSHAKE_DEADLINE,
      perMessageDeflate: false,
      maxPayload: LINK_MESSAGE_LIMIT,
      headers: { authorization: `Basic ${Buffer.from(`${accessKey}:${secretKey}`).toString('base64')}` },
    })
    return new Promise(resolve => {
      // Before it is open the connection has no other owner to tell.
      socket.on('error', error => resolve(error.message))
      socket.on('open', () => {
        const connection = new LinkConnection<ServerMessage, AgentMessage>({
          socket,
          incoming: serverMessage,
          log,
          onMessage: message => this.#receive(message),
          onRequest: method =>
            Promise.reject(protocolErrors.RequestFailed({ message: `there is no method ${method}` })),
          onStream: (kind, params, stream) => handlers.onStream(kind, params, stream),
          onClose: reason => {
            const wasWelcomed = this.#welcomed
            this.#welcomed = false
            this.#connection = undefined
            if (wasWelcomed) handlers.onDisconnected()
            resolve(reason)
          },
        })
        this.#connection = connection
        const { host, metadata } = this.#options.hello()
        connection.send({
          type: 'hello',
          version: LINK_VERSION,
          session: this.#session,
          host,
          ...(metadata === undefined ? {} : { metadata }),
        })
      })
    })
  }

  #receive(message: OwnMessage<ServerMessage>): void {
    const { handlers, log, membership } = this.#options
    if (message.type === 'welcome') {
      this.#welcomed = true
      this.#backoff.reset()
      log.info({ server: membership.serverUrl }, 'connected to the server')
      handlers.onWelcome(message)
    } else if (this.#welcomed) handlers.onMessage(message)
  }
}
