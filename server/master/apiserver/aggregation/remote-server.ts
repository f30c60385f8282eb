/** Asks servers inside of a cluster about themselves, as nobody's deputy. */
import { Type, validatorOf } from '../../../../kit/index.ts'
import type { Identity } from '../access/index.ts'
import { MASTERS_GROUP } from '../access/index.ts'
import type { Backend, BackendAnswer, BackendClient, ClusterView } from '../backends/index.ts'
import type { OwnIdentity } from '../certificates/index.ts'
import { isDeeperThan, isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { identityHeaders } from './identity-headers.ts'
import type { RemoteApi } from './remote-apis.ts'
import {
  AGGREGATED_ACCEPT,
  type DiscoveredResource,
  resourcesIn,
  resourcesOfList,
} from './remote-discovery.ts'

/** Milliseconds and bytes for documents about resources; others wait for them. */
const DISCOVERY = { deadline: 5_000, answerLimit: 4 * 1024 * 1024 }
const OPENAPI = { deadline: 10_000, answerLimit: 16 * 1024 * 1024 }

/** May ask everything: what is told does not depend on who asks. */
const ASKING: Identity = { user: 'system:kube-aggregator', groups: [MASTERS_GROUP] }

const indexValidator = validatorOf(
  Type.Object({
    paths: Type.Record(Type.String(), Type.Object({ serverRelativeURL: Type.String({ maxLength: 1_024 }) })),
  }),
)

/** Objects that are looked at in one go where all of a namespace are deleted. */
const LIST_LIMIT = 100

const listValidator = validatorOf(
  Type.Object({
    items: Type.Optional(
      Type.Union([
        Type.Null(),
        Type.Array(Type.Object({ metadata: Type.Object({ name: Type.String({ maxLength: 253 }) }) }), {
          maxItems: 10_000,
        }),
      ]),
    ),
  }),
)

interface Limits {
  readonly deadline: number
  readonly answerLimit: number
}

export interface RemoteServerOptions {
  readonly client: BackendClient
  /** Who this server is for those that it asks. */
  readonly frontProxy: OwnIdentity
}

export class RemoteServer {
  readonly #options: RemoteServerOptions

  constructor(options: RemoteServerOptions) {
    this.#options = options
  }

  /** Where it is asked, as who this server is. */
  async identified(cluster: ClusterView, backend: Backend): Promise<Backend> {
    return { ...backend, identity: await this.#options.frontProxy.of(cluster.id) }
  }

  /** Whether a version of a group is served. @throws why it is not */
  async probe(
    cluster: ClusterView,
    { group, version, backend }: Pick<RemoteApi, 'group' | 'version' | 'backend'>,
  ): Promise<void> {
    // As Kubernetes does: this tells whether somebody answers, nothing of what is said is believed.
    const unchecked: Backend = { ...backend, trust: { type: 'anyone' } }
    await this.#get(cluster, unchecked, `/apis/${group}/${version}`, 'application/json', DISCOVERY)
  }

  /** What it serves. @throws why that is not known */
  async resources(
    cluster: ClusterView,
    { group, version, backend }: RemoteApi,
  ): Promise<readonly DiscoveredResource[]> {
    const whole = await this.#get(cluster, backend, '/apis', AGGREGATED_ACCEPT, DISCOVERY).catch(() => '')
    const found = whole === '' ? undefined : resourcesIn(parsed(whole), group, version)
    if (found !== undefined) return found
    const list = await this.#get(cluster, backend, `/apis/${group}/${version}`, 'application/json', DISCOVERY)
    return resourcesOfList(parsed(list), group, version)
  }

  /** Its OpenAPI v2 document. @throws why there is none */
  async secondVersion(cluster: ClusterView, { backend }: RemoteApi): Promise<JsonObject> {
    const document = parsed(await this.#get(cluster, backend, '/openapi/v2', 'application/json', OPENAPI))
    if (!isJsonObject(document)) throw new Error('/openapi/v2 is no object')
    return document
  }

  /** The hash that its OpenAPI v3 document of the version has; undefined where there is none. @throws as others */
  async thirdVersionHash(
    cluster: ClusterView,
    { group, version, backend }: RemoteApi,
  ): Promise<string | undefined> {
    const index = await this.#get(cluster, backend, '/openapi/v3', 'application/json', DISCOVERY)
    const { paths } = indexValidator.parse(parsed(index), '/openapi/v3')
    const url = paths[`apis/${group}/${version}`]?.serverRelativeURL
    return url && (/[?&]hash=([\w-]{1,256})/.exec(url)?.[1] ?? '')
  }

  /** The document itself, as text. @throws as others */
  async thirdVersion(cluster: ClusterView, { group, version, backend }: RemoteApi): Promise<string> {
    const path = `/openapi/v3/apis/${group}/${version}`
    return await this.#get(cluster, backend, path, 'application/json', OPENAPI)
  }

  /**
   * Deletes what a namespace has of a resource, or some of it where there is much.
   *
   * @returns whether something may be left
   * @throws why it could not be deleted
   */
  async empty(
    cluster: ClusterView,
    { group, version, backend }: RemoteApi,
    namespace: string,
    { resource, verbs = [] }: DiscoveredResource,
  ): Promise<boolean> {
    const collection = `/apis/${group}/${version}/namespaces/${namespace}/${encodeURIComponent(resource)}`
    if (verbs.includes('deletecollection')) await this.#delete(cluster, backend, collection)
    if (!verbs.includes('list')) return false
    const first = `${collection}?limit=${LIST_LIMIT}`
    const list = await this.#get(cluster, backend, first, 'application/json', DISCOVERY)
    const items = listValidator.parse(parsed(list), collection).items ?? []
    if (verbs.includes('deletecollection')) return items.length > 0
    for (const { metadata } of items)
      await this.#delete(cluster, backend, `${collection}/${encodeURIComponent(metadata.name)}`)
    return items.length > 0
  }

  async #delete(cluster: ClusterView, backend: Backend, path: string): Promise<void> {
    const { status } = await this.#ask(cluster, backend, 'DELETE', path, 'application/json', DISCOVERY)
    if (status >= 300 && status !== 404) throw new Error(`bad status from ${path}: ${status}`)
  }

  async #get(
    cluster: ClusterView,
    backend: Backend,
    path: string,
    accept: string,
    limits: Limits,
  ): Promise<string> {
    const { status, body } = await this.#ask(cluster, backend, 'GET', path, accept, limits)
    if (status < 200 || status >= 300) throw new Error(`bad status from ${path}: ${status}`)
    return body.toString('utf8')
  }

  async #ask(
    cluster: ClusterView,
    backend: Backend,
    method: 'GET' | 'DELETE',
    path: string,
    accept: string,
    limits: Limits,
  ): Promise<BackendAnswer> {
    return await this.#options.client.exchange(cluster, await this.identified(cluster, backend), {
      method,
      path,
      headers: { ...(identityHeaders(ASKING) as Record<string, string | readonly string[]>), accept },
      body: '',
      ...limits,
    })
  }
}

/** Levels of a document. */
const DEEPEST = 256

/** @throws for what is no JSON, or nested too deep */
function parsed(text: string): JsonValue {
  const value = JSON.parse(text) as JsonValue
  if (isDeeperThan(value, DEEPEST)) throw new Error(`the answer is nested more than ${DEEPEST} levels deep`)
  return value
}
