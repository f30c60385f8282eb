/**
 * What this host answers about itself as a node, in the words of a kubelet: over streams of the link that the server opens,
 * which has asked for the rights of its client. There is no port on the host for it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { cpus, freemem, totalmem, uptime } from 'node:os'
import type { Duplex, Writable } from 'node:stream'
import {
  createHttpServer,
  explainError,
  type Logger,
  requestTarget,
  sendJson,
  sendText,
} from '../../kit/index.ts'
import { METRICS_TYPE } from '../../kit/metrics/index.ts'
import { LABEL } from '../../protocol/index.ts'
import type { Pod } from '../../protocol/kubernetes/index.ts'
import type { ContainerDetails, ContainerInventory, DockerEngine } from '../docker/index.ts'
import { type ContainerUse, type HostUse, type PodUse, usageMetrics, usageSummary } from './usage.ts'

/** Containers whose use Docker is asked for side by side. */
const SIDE_BY_SIDE = 8
const LOG_PATH = /^\/containerLogs\/([^/]+)\/([^/]+)\/([^/]+)$/

export interface NodeApiOptions {
  readonly engine: Pick<DockerEngine, 'usage'>
  readonly inventory: Pick<ContainerInventory, 'all'>
  readonly nodeName: string
  /** Pods of this host, as the cluster has them. */
  readonly pods: () => readonly Pod[]
  /** The agent's own metrics. */
  readonly metrics: () => string
  /** Sends the log of a pod's container; parameters as of a stream `pod-logs`. Rejects for ones that make no sense. */
  readonly sendLog: (params: unknown, sink: Writable) => Promise<void>
  readonly log: Logger
}

interface MeasuredPod {
  readonly use: PodUse & { readonly containers: ContainerUse[] }
  /** Of its containers. */
  readonly names: ReadonlySet<string>
}

/** Options of a log as a stream `pod-logs` has them. */
function logOptions(query: URLSearchParams): object {
  const number = (name: string) => (query.has(name) ? { [name]: Number(query.get(name)) } : {})
  const flag = (name: string) => ({ [name]: query.get(name) === 'true' || query.get(name) === '1' })
  return {
    ...flag('follow'),
    ...flag('previous'),
    ...flag('timestamps'),
    ...number('tailLines'),
    ...number('limitBytes'),
    ...number('sinceSeconds'),
    ...(query.has('sinceTime') ? { sinceTime: query.get('sinceTime') } : {}),
  }
}

export class NodeApi {
  readonly #options: NodeApiOptions
  readonly #server = createHttpServer((request, response) => {
    this.#answer(request, response).catch(error => this.#fail(response, error))
  })

  constructor(options: NodeApiOptions) {
    this.#options = options
    this.#server.on('clientError', (_error, connection) => connection.destroy())
  }

  /** Answers what comes over one connection. */
  open(connection: Duplex): void {
    connection.on('error', error => {
      this.#options.log.debug({ reason: explainError(error) }, 'a connection to the node broke off')
    })
    this.#server.emit('connection', connection)
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD')
      sendText(response, 405, 'Method not allowed\n')
      return
    }
    const { path, query } = requestTarget(request)
    switch (path.length > 1 ? path.replace(/\/$/, '') : path) {
      case '/healthz':
      case '/healthz/ping':
        sendText(response, 200, 'ok')
        return
      case '/pods':
        sendJson(response, 200, this.#podList(this.#options.pods()))
        return
      case '/runningpods':
        sendJson(
          response,
          200,
          this.#podList(this.#options.pods().filter(({ status }) => status?.phase === 'Running')),
        )
        return
      case '/metrics':
        this.#sendMetrics(response, this.#options.metrics())
        return
      case '/metrics/resource':
        this.#sendMetrics(response, usageMetrics(await this.#use()))
        return
      case '/stats/summary':
        sendJson(response, 200, usageSummary(await this.#use(), new Date().toISOString()))
        return
      default:
        await this.#answerLog(path, query, response)
    }
  }

  #podList(items: readonly Pod[]): object {
    return { kind: 'PodList', apiVersion: 'v1', metadata: {}, items }
  }

  #sendMetrics(response: ServerResponse, text: string): void {
    response.writeHead(200, { 'content-type': METRICS_TYPE })
    response.end(text)
  }

  async #answerLog(path: string, query: URLSearchParams, response: ServerResponse): Promise<void> {
    const [, namespace = '', name = '', container = ''] = LOG_PATH.exec(path) ?? []
    const pod = this.#options
      .pods()
      .find(({ metadata }) => metadata.namespace === namespace && metadata.name === name)
    if (pod === undefined) {
      sendText(response, 404, container === '' ? '404 page not found\n' : `pod ${name} not found\n`)
      return
    }
    response.setHeader('content-type', 'text/plain')
    const uid = pod.metadata.uid ?? ''
    await this.#options.sendLog(
      { namespace, pod: name, uid, container, options: logOptions(query) },
      response,
    )
  }

  #fail(response: ServerResponse, error: unknown): void {
    this.#options.log.debug({ reason: explainError(error) }, 'a question to the node failed')
    if (response.headersSent) response.destroy()
    else sendText(response, 500, `${explainError(error)}\n`)
  }

  /** What the host and the containers of its pods use now. */
  async #use(): Promise<HostUse> {
    const { inventory, nodeName } = this.#options
    const running = [...inventory.all()].filter(({ status }) => status === 'running')
    const pods = new Map<string, MeasuredPod>()
    for (const pod of this.#options.pods()) {
      const { namespace = '', name, uid = '' } = pod.metadata
      const { containers, initContainers = [] } = pod.spec
      const use = { namespace, name, uid, startedAt: pod.status?.startTime, containers: [] }
      pods.set(uid, { use, names: new Set([...containers, ...initContainers].map(each => each.name)) })
    }
    const queue = [...running]
    const measure = async () => {
      for (let details = queue.shift(); details !== undefined; details = queue.shift()) {
        await this.#measure(details, pods)
      }
    }
    await Promise.all(Array.from({ length: SIDE_BY_SIDE }, measure))
    const times = cpus().reduce(
      (sum, { times: { user, nice, sys, irq } }) => sum + user + nice + sys + irq,
      0,
    )
    const used = totalmem() - freemem()
    return {
      nodeName,
      startedAt: new Date(Date.now() - uptime() * 1000).toISOString(),
      processorNanoseconds: times * 1e6,
      memory: used,
      workingSet: used,
      totalMemory: totalmem(),
      pods: [...pods.values()].map(({ use }) => use).filter(({ containers }) => containers.length > 0),
    }
  }

  async #measure(
    { id, labels, startedAt }: ContainerDetails,
    pods: ReadonlyMap<string, MeasuredPod>,
  ): Promise<void> {
    const pod = pods.get(labels[LABEL.podUid] ?? '')
    const name = labels[LABEL.podContainer] ?? ''
    // What holds a pod's namespaces is none of its containers.
    if (pod?.names.has(name) !== true) return
    const use = await this.#options.engine.usage(id)
    if (use !== undefined) pod.use.containers.push({ name, startedAt, ...use })
  }
}
