/** The `/v3` API as the commands use it. */
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { DroverError } from '../kit/index.ts'
import type { ServerConnection } from './connection.ts'
import { cliErrors } from './errors.ts'

/** A resource of the API; its fields depend on its type. */
export interface Resource {
  readonly id: string
  readonly type: string
  readonly name: string
  readonly state: string
  readonly transitioning: 'yes' | 'no' | 'error'
  readonly transitioningMessage: string | null
  readonly [field: string]: unknown
}

interface Collection {
  readonly data: readonly Resource[]
  readonly pagination: { readonly next: string | null }
}

const DEADLINE = 30_000

/** The error document of the API as an error. */
function errorOf(status: number, body: unknown): DroverError {
  const { code, message, detail, expected } = (body ?? {}) as Record<string, unknown>
  return new DroverError(
    typeof code === 'string' ? code : `Http${status}`,
    { status, message: typeof message === 'string' ? message : `the server answered ${status}` },
    {
      ...(typeof detail === 'string' ? { mend: detail } : {}),
      ...(typeof expected === 'string' ? { expected } : {}),
    },
  )
}

export class ApiClient {
  readonly #connection: ServerConnection

  constructor(connection: ServerConnection) {
    this.#connection = connection
  }

  /** Follows pages to the end. */
  async list(plural: string, filters: Readonly<Record<string, string>> = {}): Promise<Resource[]> {
    const all: Resource[] = []
    const query = new URLSearchParams({ ...filters, limit: '1000' })
    let next: string | null = `/v3/${plural}?${query}`
    while (next !== null) {
      const page: Collection = (await this.#send('GET', next)) as Collection
      all.push(...page.data)
      next =
        page.pagination.next === null
          ? null
          : new URL(page.pagination.next).pathname + new URL(page.pagination.next).search
    }
    return all
  }

  async get(plural: string, id: string): Promise<Resource> {
    return (await this.#send('GET', `/v3/${plural}/${encodeURIComponent(id)}`)) as Resource
  }

  async create(plural: string, fields: unknown): Promise<Resource> {
    return (await this.#send('POST', `/v3/${plural}`, fields)) as Resource
  }

  async update(plural: string, id: string, fields: unknown): Promise<Resource> {
    return (await this.#send('PUT', `/v3/${plural}/${encodeURIComponent(id)}`, fields)) as Resource
  }

  async remove(plural: string, id: string): Promise<Resource> {
    return (await this.#send('DELETE', `/v3/${plural}/${encodeURIComponent(id)}`)) as Resource
  }

  async act(plural: string, id: string, action: string, input: unknown = {}): Promise<Resource> {
    return (await this.#send(
      'POST',
      `/v3/${plural}/${encodeURIComponent(id)}?action=${action}`,
      input,
    )) as Resource
  }

  /** Reads from the Kubernetes API of a cluster. */
  async kubernetes(clusterId: string, target: string): Promise<unknown> {
    return await this.#send('GET', `/k8s/clusters/${clusterId}${target}`)
  }

  /**
   * The one resource that `name` (a name or an id) means.
   *
   * @throws `NotFound`, `Ambiguous`
   */
  async find(
    plural: string,
    type: string,
    name: string,
    filters: Readonly<Record<string, string>> = {},
  ): Promise<Resource> {
    const all = await this.list(plural, filters)
    const byId = all.find(resource => resource.id === name)
    if (byId !== undefined) return byId
    const named = all.filter(resource => resource.name === name)
    const [only] = named
    if (only === undefined) throw cliErrors.NotFound({ object: `${type} ${name}` })
    if (named.length > 1) throw cliErrors.Ambiguous({ object: `${type} ${name}` })
    return only
  }

  /**
   * A service by its id, its name, or as `stack/name`.
   *
   * @throws `NotFound`, `Ambiguous`
   */
  async findService(name: string): Promise<Resource> {
    const slash = name.indexOf('/')
    if (slash < 0) return await this.find('services', 'service', name)
    const stack = await this.find('stacks', 'stack', name.slice(0, slash))
    return await this.find('services', 'service', name.slice(slash + 1), { stackId: stack.id })
  }

  #send(method: string, target: string, body?: unknown): Promise<unknown> {
    const { url, accessKey, secretKey, authority } = this.#connection
    const full = new URL(target, url)
    const send = full.protocol === 'https:' ? httpsRequest : httpRequest
    const text = body === undefined ? undefined : JSON.stringify(body)
    return new Promise((resolve, reject) => {
      const request = send(
        full,
        {
          method,
          timeout: DEADLINE,
          ...(authority === undefined ? {} : { ca: authority }),
          headers: {
            accept: 'application/json',
            // The Kubernetes API knows bearer tokens only; ours takes the same pair in that form.
            authorization: `Bearer ${accessKey}:${secretKey}`,
            ...(text === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
          },
        },
        response => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('end', () => {
            const status = response.statusCode ?? 0
            let parsed: unknown
            try {
              parsed = JSON.parse(Buffer.concat(chunks).toString('utf8'))
            } catch {
              // Whoever answered was not the API; the status says the rest.
              parsed = undefined
            }
            if (status >= 200 && status < 300 && parsed !== undefined) resolve(parsed)
            else reject(errorOf(status, parsed))
          })
          response.on('error', reject)
        },
      )
      request.on('timeout', () => request.destroy(new Error('no answer in time')))
      request.on('error', (cause: Error & { code?: string }) => {
        const why = cause.message === '' ? cause.code : cause.message
        reject(
          cliErrors.ServerUnreachable({ object: full.origin, message: `cannot be reached (${why})`, cause }),
        )
      })
      request.end(text)
    })
  }
}
