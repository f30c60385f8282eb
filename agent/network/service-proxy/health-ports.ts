/**
 * Says on a port of its own, for every service whose clients from outside are served by endpoints of their own host alone,
 * whether this host has any: balancers outside ask, and send clients to those hosts that have (as kube-proxy answers).
 */
import { explainError, HttpListener, type Logger, sendJson } from '../../../kit/index.ts'

export interface HealthPort {
  readonly namespace: string
  readonly name: string
  readonly port: number
  /** Endpoints on this host that are ready. */
  readonly endpoints: number
}

interface Open {
  readonly listener: HttpListener
  readonly port: number
  /** Undefined while it does not listen. */
  started: Promise<boolean>
  said: HealthPort
}

/** Connections of one port at a time. */
const CONNECTIONS = 64

export class HealthPorts {
  readonly #log: Logger
  readonly #open = new Map<string, Open>()

  constructor(log: Logger) {
    this.#log = log
  }

  has(key: string): boolean {
    return this.#open.has(key)
  }

  /** Tries ports again that somebody else had. */
  async retry(): Promise<void> {
    for (const [key, { started, said }] of [...this.#open]) if (!(await started)) await this.set(key, said)
  }

  /**
   * Takes over what there is to say about a service. A port that somebody else has is said in the log.
   *
   * @param key of the service
   * @param wanted undefined for a service that needs none
   */
  async set(key: string, wanted: HealthPort | undefined): Promise<void> {
    const present = this.#open.get(key)
    if (present !== undefined && wanted?.port === present.port && (await present.started)) {
      present.said = wanted
      return
    }
    if (present !== undefined) {
      this.#open.delete(key)
      await this.#close(present)
    }
    if (wanted === undefined) return
    const made: Open = {
      listener: this.#listener(key, wanted),
      port: wanted.port,
      started: Promise.resolve(false),
      said: wanted,
    }
    this.#open.set(key, made)
    made.started = made.listener.start().then(
      () => true,
      (error: unknown) => {
        this.#log.warn(
          { service: key, port: wanted.port, reason: explainError(error) },
          'balancers cannot ask for endpoints of a service here',
        )
        return false
      },
    )
    await made.started
  }

  async stop(): Promise<void> {
    const all = [...this.#open.values()]
    this.#open.clear()
    await Promise.all(all.map(each => this.#close(each)))
  }

  #listener(key: string, { port }: HealthPort): HttpListener {
    return new HttpListener({
      ...{ name: `health of ${key}`, host: '0.0.0.0', port },
      maximumConnections: CONNECTIONS,
      onRequest: (request, response) => {
        request.resume()
        const said = this.#open.get(key)?.said
        const endpoints = said?.endpoints ?? 0
        response.setHeader('x-content-type-options', 'nosniff')
        response.setHeader('x-load-balancing-endpoint-weight', String(endpoints))
        sendJson(response, endpoints > 0 ? 200 : 503, {
          service: { namespace: said?.namespace, name: said?.name },
          localEndpoints: endpoints,
          serviceProxyHealthy: true,
        })
      },
    })
  }

  async #close({ listener, started }: Open): Promise<void> {
    if (await started) await listener.stop()
  }
}
