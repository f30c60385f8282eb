/**
 * Ports of clusters' own: the Kubernetes API of one cluster is at the root there, for clients that drop a prefix of the
 * path and cannot be given a server name.
 */
import type { ServerOptions } from 'node:https'
import {
  type Daemon,
  explainError,
  HttpListener,
  type Logger,
  ReconcileLoop,
  type ReconcileResult,
  requestTarget,
} from '../../kit/index.ts'
import { sendApiError } from '../api/index.ts'
import type { Model } from '../model/index.ts'
import { type KubernetesFace, originAllowed } from './front-door.ts'
import { refuseUpgrade } from './upgrade.ts'

export interface ClusterPortsOptions {
  readonly model: Model
  readonly kubernetes: KubernetesFace
  /** As of the server's own port. */
  readonly tls: ServerOptions
  readonly log: Logger
}

interface OpenPort {
  readonly port: number
  readonly listener: HttpListener
}

export class ClusterPorts implements Daemon {
  readonly name = 'ports of clusters'
  readonly #options: ClusterPortsOptions
  readonly #loop: ReconcileLoop
  readonly #open = new Map<string, OpenPort>()
  #endListening: (() => void) | undefined

  constructor(options: ClusterPortsOptions) {
    this.#options = options
    this.#loop = new ReconcileLoop({
      name: 'port of a cluster',
      reconcile: id => this.#reconcile(id),
      log: options.log,
      // Who has a port may give it up soon.
      backoff: { initial: 500, maximum: 30_000 },
    })
  }

  start(): Promise<void> {
    const { clusters } = this.#options.model
    this.#endListening = clusters.onChange((cluster, previous) => {
      const id = (cluster ?? previous)?.id
      if (id !== undefined && (cluster?.kubernetesPort !== undefined || this.#open.has(id)))
        this.#loop.kick(id)
    })
    for (const { id, kubernetesPort } of clusters.all()) if (kubernetesPort !== undefined) this.#loop.kick(id)
    this.#loop.start()
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    this.#endListening?.()
    await this.#loop.stop()
    await Promise.all([...this.#open.keys()].map(id => this.#close(id)))
  }

  async #reconcile(id: string): Promise<ReconcileResult> {
    const cluster = this.#options.model.clusters.get(id)
    const wanted = cluster?.state === 'removing' ? undefined : cluster?.kubernetesPort
    if (this.#open.get(id)?.port === wanted) return undefined
    await this.#close(id)
    if (wanted === undefined) return undefined
    const listener = this.#listener(id, wanted)
    await listener.start()
    this.#open.set(id, { port: wanted, listener })
    return undefined
  }

  async #close(id: string): Promise<void> {
    const present = this.#open.get(id)
    this.#open.delete(id)
    await present?.listener.stop()
  }

  #listener(id: string, port: number): HttpListener {
    const { kubernetes, tls, log } = this.#options
    return new HttpListener({
      ...{ name: `port of cluster ${id}`, host: '0.0.0.0', port, tls },
      onRequest: (request, response) => {
        kubernetes
          .handle(id, requestTarget(request).path, request, response)
          .catch(error => sendApiError(response, error, log))
      },
      onUpgrade: (request, socket, head) => {
        if (!originAllowed(request)) {
          refuseUpgrade(socket, 403, 'pages of other sites may not connect here')
          return
        }
        kubernetes.upgrade(id, requestTarget(request).path, request, socket, head).catch(error => {
          log.error({ reason: explainError(error) }, 'a connection to the Kubernetes API failed')
          socket.destroy()
        })
      },
    })
  }
}
