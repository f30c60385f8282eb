/** Answers over TCP, several questions per connection and in any order (RFC 7766). */
import { createServer, type Server, type Socket } from 'node:net'
import { kitErrors, systemErrorCode } from '../kit/index.ts'
import type { ListenerOptions } from './udp-listener.ts'

const MOST_CONNECTIONS = 256
/** Milliseconds of silence after which a connection is closed. */
const IDLE_LIMIT = 10_000
/** Questions of one connection that may wait for answers. */
const MOST_WAITING = 32
/** Bytes of answers that one client may leave unread. */
const MOST_UNREAD = 1024 * 1024

function normalized(address: string | undefined): string {
  return address?.replace(/^::ffff:/, '') ?? ''
}

/** One client's connection. */
class Connection {
  readonly #socket: Socket
  readonly #options: ListenerOptions
  readonly #abort = new AbortController()
  #received: Buffer = Buffer.alloc(0)
  #waiting = 0

  constructor(socket: Socket, options: ListenerOptions) {
    this.#socket = socket
    this.#options = options
    socket.setTimeout(IDLE_LIMIT, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#abort.abort())
    socket.on('data', (data: Buffer) => {
      this.#received = this.#received.length === 0 ? data : Buffer.concat([this.#received, data])
      this.#readOn()
    })
  }

  /** Handles what has come completely, as far as there is room for its answers. */
  #readOn(): void {
    while (this.#waiting < MOST_WAITING && this.#received.length >= 2) {
      const length = this.#received.readUInt16BE(0)
      if (this.#received.length < 2 + length) break
      const message = this.#received.subarray(2, 2 + length)
      this.#received = this.#received.subarray(2 + length)
      this.#handle(message)
    }
    if (this.#waiting < MOST_WAITING) this.#socket.resume()
    else this.#socket.pause()
  }

  #handle(message: Buffer): void {
    const { resolver, log } = this.#options
    const address = normalized(this.#socket.remoteAddress)
    this.#waiting += 1
    Promise.try(() => resolver.answer(message, address, 'tcp', this.#abort.signal))
      .then(response => this.#send(response))
      .catch(error => {
        log.error({ err: error, client: address }, 'a DNS query could not be handled')
        this.#socket.destroy()
      })
      .finally(() => {
        this.#waiting -= 1
        if (!this.#socket.destroyed) this.#readOn()
      })
  }

  #send(response: Buffer | undefined): void {
    if (response === undefined || this.#socket.writableLength > MOST_UNREAD) {
      // Whoever sends what is no query, or does not read, has no use for the connection.
      this.#socket.destroy()
      return
    }
    const length = Buffer.alloc(2)
    length.writeUInt16BE(response.length)
    this.#socket.write(Buffer.concat([length, response]))
  }
}

export class TcpListener {
  readonly #options: ListenerOptions
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  constructor(options: ListenerOptions) {
    this.#options = options
    this.#server = createServer(socket => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      new Connection(socket, options)
    })
    this.#server.maxConnections = MOST_CONNECTIONS
  }

  /** @throws `AddressInUse` */
  start(port: number): Promise<void> {
    const { host, log } = this.#options
    return new Promise((resolve, reject) => {
      const onError = (cause: Error) => {
        const inUse = systemErrorCode(cause) === 'EADDRINUSE'
        reject(inUse ? kitErrors.AddressInUse({ object: `dns ${host}:${port}/tcp`, cause }) : cause)
      }
      this.#server.once('error', onError)
      this.#server.listen(port, host, () => {
        this.#server.off('error', onError)
        this.#server.on('error', error => log.warn({ err: error }, 'the DNS server reports an error'))
        resolve()
      })
    })
  }

  stop(): Promise<void> {
    return new Promise(resolve => {
      this.#server.close(() => resolve())
      for (const socket of this.#sockets) socket.destroy()
    })
  }
}
