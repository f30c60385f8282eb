/** One listening HTTP or HTTPS port as a daemon. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { kitErrors, systemErrorCode } from './errors.ts'
import { createHttpServer } from './node-http.ts'
import type { Daemon } from './supervisor.ts'

export interface HttpListenerOptions {
  readonly name: string
  readonly host: string
  /** 0 takes any free port; `port` tells which. */
  readonly port: number
  /** Serves TLS with these when present. */
  readonly tls?: ServerOptions
  /** Connections at one time; more are closed as they come. No bound when absent. */
  readonly maximumConnections?: number
  readonly onRequest: (request: IncomingMessage, response: ServerResponse) => void
  /** Takes over a connection that asked for another protocol; without it such requests are refused. */
  readonly onUpgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
}

export class HttpListener implements Daemon {
  readonly name: string
  readonly #options: HttpListenerOptions
  readonly #server: Server
  readonly #sockets = new Set<Duplex>()

  constructor(options: HttpListenerOptions) {
    this.name = options.name
    this.#options = options
    const limits = {
      headersTimeout: 30_000,
      requestTimeout: 0,
      keepAliveTimeout: 75_000,
      maxHeaderSize: 64 * 1024,
    }
    this.#server =
      options.tls === undefined
        ? createHttpServer(limits, options.onRequest)
        : createTlsServer({ ...limits, ...options.tls }, options.onRequest)
    const { onUpgrade, maximumConnections } = options
    if (maximumConnections !== undefined) this.#server.maxConnections = maximumConnections
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      // A peer that resets its connection must not end the process.
      socket.on('error', () => socket.destroy())
      if (onUpgrade === undefined) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n')
      else onUpgrade(request, socket, head)
    })
  }

  /** The port it listens on. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** @throws `AddressInUse` when another process has the port */
  start(): Promise<void> {
    const { host, port, name } = this.#options
    return new Promise((resolve, reject) => {
      const onError = (cause: Error) => {
        reject(
          systemErrorCode(cause) === 'EADDRINUSE'
            ? kitErrors.AddressInUse({ object: `${name} ${host}:${port}`, cause })
            : cause,
        )
      }
      this.#server.once('error', onError)
      this.#server.listen(port, host, () => {
        this.#server.off('error', onError)
        resolve()
      })
    })
  }

  /** Stops accepting, ends idle connections and cuts the rest: watches and streams have no natural end. */
  stop(): Promise<void> {
    return new Promise(resolve => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
      for (const socket of this.#sockets) socket.destroy()
    })
  }
}
