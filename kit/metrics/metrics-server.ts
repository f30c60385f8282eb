/** Serves a process's metrics: `GET /metrics`. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { sendText } from '../http-exchange.ts'
import { HttpListener } from '../http-listener.ts'
import type { Daemon } from '../supervisor.ts'
import type { MetricsRegistry } from './registry.ts'

/** The format's name in answers. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
/** More than anybody needs who collects metrics. */
const MOST_CONNECTIONS = 64

export interface MetricsServerOptions {
  readonly host: string
  /** 0 takes any free port; `port` tells which. */
  readonly port: number
  readonly registry: MetricsRegistry
}

export class MetricsServer implements Daemon {
  readonly name = 'metrics'
  readonly #registry: MetricsRegistry
  readonly #listener: HttpListener

  constructor({ host, port, registry }: MetricsServerOptions) {
    this.#registry = registry
    this.#listener = new HttpListener({
      name: 'metrics',
      host,
      port,
      maximumConnections: MOST_CONNECTIONS,
      onRequest: (request, response) => this.#handle(request, response),
    })
  }

  get port(): number {
    return this.#listener.port
  }

  /** @throws `AddressInUse` */
  start(): Promise<void> {
    return this.#listener.start()
  }

  stop(): Promise<void> {
    return this.#listener.stop()
  }

  #handle({ method, url = '' }: IncomingMessage, response: ServerResponse): void {
    if (url.split('?', 1)[0] !== '/metrics') {
      sendText(response, 404, 'Not found: metrics are at /metrics\n')
    } else if (method !== 'GET' && method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD')
      sendText(response, 405, 'Method not allowed\n')
    } else {
      const body = Buffer.from(this.#registry.text())
      response.writeHead(200, { 'content-type': METRICS_TYPE, 'content-length': body.length })
      response.end(body)
    }
  }
}
