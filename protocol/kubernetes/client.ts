/** A small Kubernetes API client: JSON over HTTP(S), streaming watches, deadlines everywhere. */
import type { IncomingMessage, Agent as PlainAgent } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { DroverError, HttpAgent, httpRequest, kitErrors, readLines } from '../../kit/index.ts'
import { kubernetesErrors } from './errors.ts'
import type { KubernetesList, KubernetesObject, Status } from './types.ts'

export interface KubernetesClientOptions {
  /** Base URL of one cluster's API, such as `https://server:8443/k8s/clusters/1c1`. */
  readonly url: string
  readonly bearerToken: string
  /** PEM of the only certificate authority that is believed. */
  readonly authority: string
  /** Milliseconds for one request; watches are exempt. Default 15 000. */
  readonly deadline?: number
}

export type PatchType = 'merge' | 'strategic-merge' | 'json'

const PATCH_CONTENT_TYPE: Record<PatchType, string> = {
  merge: 'application/merge-patch+json',
  'strategic-merge': 'application/strategic-merge-patch+json',
  json: 'application/json-patch+json',
}

/** Bytes of one line of a watch: objects are limited to less. */
const EVENT_LIMIT = 16 * 1024 * 1024

/** One line of a watch. */
export type WatchEvent<T extends KubernetesObject> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'; readonly object: T }
  | { readonly type: 'ERROR'; readonly object: Status }

interface RequestOptions {
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly body?: unknown
  readonly contentType?: string
  readonly signal?: AbortSignal
}

/** Path of a resource: `/api/v1/namespaces/default/pods/web`. */
export type ResourcePath = string

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

/** The error that a Status document describes. Its code is the Status' reason. */
function errorOfStatus(path: string, httpStatus: number, body: string): DroverError {
  let status: Partial<Status> = {}
  try {
    status = JSON.parse(body) as Partial<Status>
  } catch {
    // A proxy in between answers with its own page; its status code is all there is to say.
  }
  return new DroverError(
    status.reason ?? `Http${httpStatus}`,
    { status: httpStatus, message: status.message ?? `the Kubernetes API answered ${httpStatus}` },
    { object: path },
  )
}

export class KubernetesClient {
  readonly #base: URL
  readonly #options: KubernetesClientOptions
  readonly #agent: PlainAgent | HttpsAgent
  readonly #send: typeof httpsRequest

  constructor(options: KubernetesClientOptions) {
    this.#options = options
    this.#base = new URL(options.url)
    const secure = this.#base.protocol === 'https:'
    // Watches hold their sockets, so the number of sockets is not limited; idle ones are kept for a while.
    this.#agent = secure
      ? new HttpsAgent({ keepAlive: true, maxFreeSockets: 4, ca: options.authority })
      : new HttpAgent({ keepAlive: true, maxFreeSockets: 4 })
    this.#send = secure ? httpsRequest : (httpRequest as typeof httpsRequest)
  }

  /** Closes idle connections. */
  close(): void {
    this.#agent.destroy()
  }

  async get<T>(path: ResourcePath, signal?: AbortSignal): Promise<T> {
    return await this.#json<T>('GET', path, { ...(signal && { signal }) })
  }

  async list<T extends KubernetesObject>(
    path: ResourcePath,
    query: RequestOptions['query'] = {},
    signal?: AbortSignal,
  ): Promise<KubernetesList<T>> {
    return await this.#json('GET', path, { query, ...(signal && { signal }) })
  }

  async create<T extends KubernetesObject>(path: ResourcePath, object: unknown): Promise<T> {
    return await this.#json('POST', path, { body: object })
  }

  async update<T extends KubernetesObject>(path: ResourcePath, object: unknown): Promise<T> {
    return await this.#json('PUT', path, { body: object })
  }

  async patch<T extends KubernetesObject>(path: ResourcePath, type: PatchType, patch: unknown): Promise<T> {
    return await this.#json('PATCH', path, { body: patch, contentType: PATCH_CONTENT_TYPE[type] })
  }

  /** Deletes an object; `options` is a DeleteOptions document without kind and version. */
  async delete(path: ResourcePath, options: Record<string, unknown> = {}): Promise<void> {
    await this.#json('DELETE', path, { body: { apiVersion: 'v1', kind: 'DeleteOptions', ...options } })
  }

  /**
   * Follows changes until the server ends the watch or `signal` aborts.
   *
   * @throws `DeadlineExceeded` when nothing (not even a bookmark) came for `silence` milliseconds
   */
  async *watch<T extends KubernetesObject>(
    path: ResourcePath,
    query: Readonly<Record<string, string | undefined>>,
    signal: AbortSignal,
    silence: number,
  ): AsyncGenerator<WatchEvent<T>, void, undefined> {
    const quiet = new AbortController()
    const late = () =>
      kitErrors.DeadlineExceeded({ object: `watch ${path}`, expected: `a word every ${silence} ms` })
    // Also a server that takes the request and never answers is quiet.
    const timer = setTimeout(() => quiet.abort(late()), silence)
    try {
      const response = await this.#open('GET', path, {
        query: { ...query, watch: 'true', allowWatchBookmarks: 'true' },
        signal: AbortSignal.any([signal, quiet.signal]),
      })
      try {
        for await (const line of readLines(response, EVENT_LIMIT)) {
          timer.refresh()
          if (line !== '') yield JSON.parse(line) as WatchEvent<T>
        }
      } finally {
        response.destroy()
      }
    } catch (error) {
      if (quiet.signal.aborted) throw quiet.signal.reason
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  async #json<T>(method: string, path: string, options: RequestOptions): Promise<T> {
    const deadline = AbortSignal.timeout(this.#options.deadline ?? 15_000)
    const signal = options.signal === undefined ? deadline : AbortSignal.any([deadline, options.signal])
    try {
      const response = await this.#open(method, path, { ...options, signal })
      return JSON.parse(await readAll(response)) as T
    } catch (error) {
      if (deadline.aborted) throw kitErrors.DeadlineExceeded({ object: `${method} ${path}`, cause: error })
      throw error
    }
  }

  #open(method: string, path: string, options: RequestOptions): Promise<IncomingMessage> {
    const url = new URL(this.#base.pathname.replace(/\/$/, '') + path, this.#base)
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, value)
    }
    const body = options.body === undefined ? undefined : Buffer.from(JSON.stringify(options.body))
    return new Promise((resolve, reject) => {
      const request = this.#send(
        url,
        {
          method,
          agent: this.#agent,
          headers: {
            authorization: `Bearer ${this.#options.bearerToken}`,
            accept: 'application/json',
            ...(body && {
              'content-type': options.contentType ?? 'application/json',
              'content-length': body.length,
            }),
          },
          ...(options.signal && { signal: options.signal }),
        },
        response => {
          const status = response.statusCode ?? 0
          if (status >= 200 && status < 300) resolve(response)
          else readAll(response).then(text => reject(errorOfStatus(path, status, text)), reject)
        },
      )
      request.on('error', cause => {
        reject(
          options.signal?.aborted
            ? options.signal.reason
            : kubernetesErrors.ApiUnreachable({ object: this.#base.origin, cause }),
        )
      })
      request.end(body)
    })
  }
}
