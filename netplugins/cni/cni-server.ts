/**
 * The agent's end of the plugin: a unix socket that takes one request per connection, one line of JSON each way.
 *
 * The socket's permissions (0600) are the authentication: who may connect may already do all that the plugin does.
 */
import { chmod, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { atMost, type Daemon, explainError, isDroverError, kitErrors, type Logger } from '../../kit/index.ts'
import { type CniHandler, serveRequest } from './cni-handler.ts'
import { CONFIGURATION_LIMIT } from './specification.ts'

/**
 * Milliseconds in which a request must have arrived, and for which a finished answer may lie unread. A plugin that has
 * connected may have to wait long for a processor of a host that starts many containers.
 */
const TRANSFER_DEADLINE = 60_000

/** Largest request in bytes: a configuration and the plugin's environment. */
const REQUEST_LIMIT = CONFIGURATION_LIMIT + 128 * 1024

/** Connections at a time; a runtime that is told to try again does so. */
const CONNECTION_LIMIT = 512

/** Longest path of a unix socket (struct sockaddr_un, unix(7)). */
const SOCKET_PATH_LIMIT = 107

export interface CniServerOptions {
  /** Path of the unix socket. */
  readonly socket: string
  readonly handler: CniHandler
  readonly log: Logger
}

/** The first line that arrives. */
function readLine(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    socket.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > REQUEST_LIMIT) {
        reject(kitErrors.BodyTooLarge({ object: 'CNI request', expected: `at most ${REQUEST_LIMIT} bytes` }))
        return
      }
      const end = chunk.indexOf('\n')
      chunks.push(end < 0 ? chunk : chunk.subarray(0, end))
      if (end >= 0) resolve(Buffer.concat(chunks).toString('utf8'))
    })
    socket.once('close', () =>
      reject(kitErrors.InvalidFormat({ object: 'CNI request', message: 'broke off' })),
    )
  })
}

export class CniServer implements Daemon {
  readonly name = 'cni server'
  readonly #options: CniServerOptions
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #conversations = new Set<Promise<void>>()

  constructor(options: CniServerOptions) {
    this.#options = options
    this.#server = createServer({ allowHalfOpen: true }, socket => this.#accept(socket))
    this.#server.maxConnections = CONNECTION_LIMIT
  }

  /** @throws `InvalidFormat` for a path that is too long for a socket; the system's error when it cannot listen */
  async start(): Promise<void> {
    const { socket } = this.#options
    if (Buffer.byteLength(socket) > SOCKET_PATH_LIMIT) {
      throw kitErrors.InvalidFormat({
        object: `CNI socket ${socket}`,
        message: 'the path is too long for a unix socket',
        expected: `at most ${SOCKET_PATH_LIMIT} bytes`,
        mend: 'name a data directory with a shorter path',
      })
    }
    // A socket file outlives the process that made it; the lock of the data directory says that it has ended.
    await rm(socket, { force: true })
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(socket, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
    await chmod(socket, 0o600)
  }

  /** Takes no more requests and waits for those that run. */
  async stop(): Promise<void> {
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    await Promise.all(this.#conversations)
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #accept(socket: Socket): void {
    const { log } = this.#options
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    socket.on('error', error => log.debug({ reason: error.message }, 'a CNI connection broke'))
    const conversation = this.#converse(socket)
      .catch(error => {
        log.warn({ reason: explainError(error) }, 'a CNI connection failed')
        socket.destroy()
      })
      .finally(() => this.#conversations.delete(conversation))
    this.#conversations.add(conversation)
  }

  async #converse(socket: Socket): Promise<void> {
    const { handler, log } = this.#options
    const line = await atMost(TRANSFER_DEADLINE, 'CNI request', readLine(socket))
    const answer = await serveRequest(handler, line, error =>
      log.warn(isDroverError(error) ? { reason: error.explain() } : { err: error }, 'refused a CNI request'),
    )
    // A plugin that was killed meanwhile does not read; its runtime will ask for a DEL.
    socket.setTimeout(TRANSFER_DEADLINE, () => socket.destroy())
    socket.end(`${JSON.stringify(answer)}\n`)
  }
}
