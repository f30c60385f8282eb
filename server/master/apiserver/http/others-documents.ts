/** What a server tells of itself where others serve parts of its API: theirs are asked for, and put among its own. */
import { explainError, type Logger } from '../../../../kit/index.ts'
import {
  type Aggregator,
  aggregatedListWith,
  groupListWith,
  groupWith,
  secondVersionAddition,
} from '../aggregation/index.ts'
import type { Cluster } from '../cluster/index.ts'
import { isJsonObject, type JsonObject } from '../json.ts'
import { secondVersionPartProtobuf } from '../openapi/index.ts'

export interface OthersDocumentsOptions {
  readonly cluster: Cluster
  readonly aggregator: Aggregator
  readonly log: Logger
}

export class OthersDocuments {
  readonly #options: OthersDocumentsOptions

  constructor(options: OthersDocumentsOptions) {
    this.#options = options
  }

  /** A document of discovery. @param own this server's; undefined where it has none */
  async discovery(path: string, own: string | undefined, aggregated: boolean): Promise<string | undefined> {
    const remotes = this.#remotes
    if (path === 'apis' && own !== undefined)
      return aggregated ? await this.#aggregatedList(own) : groupListWith(own, remotes)
    const [, group] = /^apis\/([^/]+)$/.exec(path) ?? []
    const ofGroup = remotes.filter(remote => remote.group === group)
    return group === undefined || ofGroup.length === 0 ? own : groupWith(own, group, ofGroup)
  }

  /** The OpenAPI v2 document. @param own this server's, as JSON */
  async secondVersion(own: string): Promise<string> {
    const document = JSON.parse(own) as JsonObject
    for (const { paths, definitions } of await this.#additions(document)) {
      document.paths = { ...(document.paths as JsonObject), ...paths }
      document.definitions = { ...(document.definitions as JsonObject), ...definitions }
    }
    return JSON.stringify(document)
  }

  /** What is to be put behind this server's own document in protobuf. @param own this server's, as JSON */
  async secondVersionProtobuf(own: string): Promise<Buffer> {
    const additions = await this.#additions(JSON.parse(own) as JsonObject)
    return Buffer.concat(additions.map(addition => secondVersionPartProtobuf(addition)))
  }

  /** The list of OpenAPI v3 documents. @param own this server's */
  async thirdVersionIndex(own: string): Promise<string> {
    const { aggregator, cluster } = this.#options
    const { paths } = JSON.parse(own) as { readonly paths: Readonly<Record<string, unknown>> }
    const remotes = await Promise.all(
      this.#remotes.map(async remote => ({
        path: `apis/${remote.group}/${remote.version}`,
        hash: await aggregator.thirdVersionHash(cluster, remote),
      })),
    )
    const served = remotes.flatMap(({ path, hash }) => {
      if (hash === undefined) return []
      const serverRelativeURL = `/openapi/v3/${path}${hash === '' ? '' : `?hash=${hash}`}`
      return [[path, { serverRelativeURL }] as const]
    })
    // What is defined here is not what is served under a path that another has.
    const ours = Object.entries(paths).filter(([path]) => !remotes.some(remote => remote.path === path))
    return JSON.stringify({ paths: Object.fromEntries([...ours, ...served]) })
  }

  /** An OpenAPI v3 document of another; undefined where this server has it. @throws `ServiceUnavailable` */
  async thirdVersion(path: string): Promise<string | undefined> {
    const { aggregator, cluster } = this.#options
    const [, group = '', version = ''] = /^apis\/([^/]+)\/([^/]+)$/.exec(path) ?? []
    const remote = cluster.remoteApis.find(group, version)
    return remote && (await aggregator.thirdVersion(cluster, remote))
  }

  get #remotes() {
    return this.#options.cluster.remoteApis.all()
  }

  async #aggregatedList(own: string): Promise<string> {
    const { aggregator, cluster } = this.#options
    const remotes = this.#remotes
    const known = await Promise.all(
      remotes.map(
        async remote =>
          [`${remote.group}/${remote.version}`, await aggregator.resources(cluster, remote)] as const,
      ),
    )
    const resources = new Map(known)
    const none = { value: undefined, current: false }
    return aggregatedListWith(own, remotes, (group, version) => resources.get(`${group}/${version}`) ?? none)
  }

  async #additions(document: JsonObject) {
    const { aggregator, cluster, log } = this.#options
    const remotes = this.#remotes
    const documents = await Promise.all(
      remotes.map(async remote => ({
        remote,
        document: await aggregator.secondVersion(cluster, remote),
      })),
    )
    const known: JsonObject = { ...(isJsonObject(document.definitions) ? document.definitions : {}) }
    return documents.flatMap(({ remote: { group, version }, document: theirs }) => {
      if (theirs === undefined) return []
      try {
        const addition = secondVersionAddition(theirs, group, version, known)
        Object.assign(known, addition.definitions)
        return [addition]
      } catch (error) {
        const reason = explainError(error)
        log.debug(
          { cluster: cluster.id, api: `${group}/${version}`, reason },
          'an OpenAPI document is of no use',
        )
        return []
      }
    })
  }
}
