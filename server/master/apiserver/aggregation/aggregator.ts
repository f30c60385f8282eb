/** The APIs that others serve in a cluster, as parts of this one: who may use them, what is told of them, and the way there. */
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { explainError, type Logger } from '../../../../kit/index.ts'
import { type Attributes, type Authorizer, type Identity, requireAccess } from '../access/index.ts'
import { type BackendClient, unreachable } from '../backends/index.ts'
import type { OwnIdentity } from '../certificates/index.ts'
import type { Cluster } from '../cluster/index.ts'
import type { Frozen, JsonObject } from '../json.ts'
import type { ApiService } from '../objects.ts'
import { pathNotFound, StatusError } from '../status.ts'
import { backendOf } from './api-service.ts'
import { type ForwardedUpgrade, forward, forwardUpgrade } from './forward.ts'
import { secondVersionAddition } from './merge-openapi.ts'
import type { RemoteApi } from './remote-apis.ts'
import type { DiscoveredResource } from './remote-discovery.ts'
import type { Remembered } from './remote-documents.ts'
import { RemoteServer } from './remote-server.ts'
import type { RequestedObject } from './requested-object.ts'
import { thirdVersionOf } from './third-from-second.ts'

export interface AggregatorOptions {
  readonly client: BackendClient
  readonly frontProxy: OwnIdentity
  readonly authorizer: Authorizer
  readonly log: Logger
}

/** A request to an API that another serves. */
export interface RemoteRequest {
  readonly cluster: Cluster
  readonly identity: Identity
  readonly remote: RemoteApi
  readonly request: IncomingMessage
  /** With the query. */
  readonly path: string
}

/** What is left of a namespace with others. */
export interface Emptied {
  /** Why it is not known, or was not deleted. */
  readonly failing: readonly string[]
  /** Resources of which there is something. */
  readonly remaining: readonly string[]
}

export class Aggregator {
  readonly #options: AggregatorOptions
  readonly #server: RemoteServer

  constructor(options: AggregatorOptions) {
    this.#options = options
    this.#server = new RemoteServer(options)
  }

  /** What a request takes, which its sender has. @throws `Forbidden` */
  async admit(
    cluster: Cluster,
    identity: Identity,
    { group }: RemoteApi,
    asked: RequestedObject,
  ): Promise<Attributes> {
    const attributes: Attributes = { identity, group, ...asked, requiredField: () => undefined }
    await requireAccess(this.#options.authorizer, attributes, cluster)
    return attributes
  }

  /** Answers with what the other says. @throws `ServiceUnavailable` */
  async answer(asked: RemoteRequest, response: ServerResponse): Promise<void> {
    await forward(this.#options.client, await this.#forwarding(asked), response)
  }

  /** The same where the client wants another protocol. @throws `ServiceUnavailable` */
  async upgrade(asked: RemoteRequest, upgrade: ForwardedUpgrade): Promise<void> {
    await forwardUpgrade(this.#options.client, await this.#forwarding(asked), upgrade)
  }

  /** Whether a version of a group is served now. @throws why it is not */
  async probe(cluster: Cluster, service: Frozen<ApiService>): Promise<void> {
    const backend = backendOf(service)
    const { group = '', version } = service.spec
    if (backend !== undefined) await this.#server.probe(cluster, { group, version, backend })
  }

  /** What an API serves, as far as it is known. */
  async resources(cluster: Cluster, remote: RemoteApi): Promise<Remembered<readonly DiscoveredResource[]>> {
    return await this.#remembered(cluster, remote, 'resources', () => this.#server.resources(cluster, remote))
  }

  /** Its OpenAPI v2 document; undefined when there is none. */
  async secondVersion(cluster: Cluster, remote: RemoteApi): Promise<JsonObject | undefined> {
    const fetch = () => this.#server.secondVersion(cluster, remote)
    return (await this.#remembered(cluster, remote, 'openapi/v2', fetch)).value
  }

  /** The hash of its OpenAPI v3 document; empty where it has none, undefined when there is no document at all. */
  async thirdVersionHash(cluster: Cluster, remote: RemoteApi): Promise<string | undefined> {
    const { value } = await this.#thirdVersionOwn(cluster, remote)
    if (value !== undefined) return value
    const made = await this.#thirdVersionMade(cluster, remote)
    return made && createHash('sha256').update(made).digest('hex').toUpperCase()
  }

  /** That document; made of its OpenAPI v2 where it has none. @throws `ServiceUnavailable`, `NotFound` */
  async thirdVersion(cluster: Cluster, remote: RemoteApi): Promise<string> {
    requireAvailable(remote)
    try {
      if ((await this.#thirdVersionOwn(cluster, remote)).value !== undefined)
        return await this.#server.thirdVersion(cluster, remote)
    } catch (error) {
      throw unreachable(error)
    }
    const made = await this.#thirdVersionMade(cluster, remote)
    if (made === undefined) throw pathNotFound()
    return made
  }

  async #thirdVersionOwn(cluster: Cluster, remote: RemoteApi): Promise<Remembered<string | undefined>> {
    const fetch = () => this.#server.thirdVersionHash(cluster, remote)
    return await this.#remembered(cluster, remote, 'openapi/v3', fetch)
  }

  async #thirdVersionMade(cluster: Cluster, remote: RemoteApi): Promise<string | undefined> {
    const document = await this.secondVersion(cluster, remote)
    if (document === undefined) return undefined
    const { group, version } = remote
    try {
      return JSON.stringify(thirdVersionOf(secondVersionAddition(document, group, version, {})))
    } catch (error) {
      const api = `${group}/${version}`
      const reason = explainError(error)
      this.#options.log.debug({ cluster: cluster.id, api, reason }, 'an OpenAPI document is of no use')
      return undefined
    }
  }

  /** Deletes what others keep in a namespace, as far as they can be asked. */
  async emptyNamespace(cluster: Cluster, namespace: string): Promise<Emptied> {
    const failing: string[] = []
    const remaining: string[] = []
    const seen = new Set<string>()
    // The preferred version of each is asked.
    const remotes = cluster.remoteApis.all().toSorted((a, b) => b.versionPriority - a.versionPriority)
    for (const remote of remotes) {
      const { group, version } = remote
      const { value = [], current } = await this.resources(cluster, remote)
      if (!current) failing.push(`${group}/${version}: stale GroupVersion discovery: ${group}/${version}`)
      const own = value.filter(
        ({ resource, scope, verbs = [] }) =>
          scope === 'Namespaced' && verbs.includes('delete') && !seen.has(`${group}/${resource}`),
      )
      for (const resource of current ? own : []) {
        seen.add(`${group}/${resource.resource}`)
        try {
          if (await this.#server.empty(cluster, remote, namespace, resource))
            remaining.push(`${resource.resource}.${group}`)
        } catch (error) {
          failing.push(`${resource.resource}.${group}: ${explainError(error)}`)
        }
      }
    }
    return { failing, remaining }
  }

  async #forwarding({ cluster, identity, remote, request, path }: RemoteRequest) {
    requireAvailable(remote)
    const backend = await this.#server.identified(cluster, remote.backend)
    return { cluster, identity, backend, request, path }
  }

  async #remembered<T>(
    cluster: Cluster,
    { group, version, available, documents }: RemoteApi,
    name: string,
    fetch: () => Promise<T>,
  ): Promise<Remembered<T>> {
    return await documents.get(name, available ? fetch : undefined, error =>
      this.#options.log.debug(
        { cluster: cluster.id, api: `${group}/${version}`, document: name, reason: explainError(error) },
        'an API that another serves does not tell of itself',
      ),
    )
  }
}

/** @throws `ServiceUnavailable` */
function requireAvailable({ available }: RemoteApi): void {
  if (!available)
    throw new StatusError(
      'ServiceUnavailable',
      'the server is currently unable to handle the request: the APIService is not available',
    )
}
