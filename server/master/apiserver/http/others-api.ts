/** Requests to the parts of a cluster's API that others serve: who may send them, how long they last, the way there. */
import type { IncomingMessage } from 'node:http'
import { type Logger, requestTarget } from '../../../../kit/index.ts'
import type { Identity } from '../access/index.ts'
import { type Aggregator, isLasting, type RemoteApi, requestedObject } from '../aggregation/index.ts'
import type { Cluster } from '../cluster/index.ts'
import { badRequest } from '../status.ts'
import type { RawConnection } from '../streams/index.ts'
import type { Answer } from './answer.ts'
import type { Gate } from './gate.ts'
import { OthersDocuments } from './others-documents.ts'

export interface OthersRequest {
  readonly answer: Answer
  readonly cluster: Cluster
  readonly identity: Identity
  /** Who serves it. */
  readonly remote: RemoteApi
  /** Percent-encoded, without the query. */
  readonly path: string
}

export interface OthersApiOptions {
  readonly aggregator: Aggregator
  readonly gate: Gate
  readonly log: Logger
}

/** The path with the query as it came. */
function wholePath(path: string, { url = '' }: IncomingMessage): string {
  const at = url.indexOf('?')
  return at < 0 ? path : `${path}${url.slice(at)}`
}

export class OthersApi {
  readonly #options: OthersApiOptions

  constructor(options: OthersApiOptions) {
    this.#options = options
  }

  /** What others tell of themselves; undefined where nobody serves anything. */
  documents(cluster: Cluster): OthersDocuments | undefined {
    const { aggregator, log } = this.#options
    return cluster.remoteApis.size === 0 ? undefined : new OthersDocuments({ cluster, aggregator, log })
  }

  /**
   * Answers a request.
   *
   * @param seated runs what does not last when it is its cluster's turn
   * @throws `Forbidden`, `BadRequest`, `ServiceUnavailable`, and what `seated` throws
   */
  async answer(
    { answer, cluster, identity, remote, path }: OthersRequest,
    seated: (work: () => Promise<void>) => Promise<void>,
  ): Promise<void> {
    const { aggregator, gate } = this.#options
    const { request, response } = answer
    const asked = requestedObject(request.method ?? '', path, requestTarget(request).query)
    const attributes = asked && (await aggregator.admit(cluster, identity, remote, asked))
    const sent = { cluster, identity, remote, request, path: wholePath(path, request) }
    const work = () => aggregator.answer(sent, response)
    if (asked === undefined || attributes === undefined || !isLasting(asked)) return await seated(work)
    // What lasts as long as its reader wants would keep a seat for as long.
    gate.lasts({ cluster, request, carrier: response, attributes, watched: undefined, end: undefined })
    await work()
  }

  /** Serves a connection that asks for another protocol. @throws as `answer` */
  async upgrade(
    { answer, cluster, identity, remote, path }: OthersRequest,
    connection: RawConnection,
  ): Promise<void> {
    const { aggregator, gate } = this.#options
    const { request, response } = answer
    const asked = requestedObject(request.method ?? '', path, requestTarget(request).query)
    if (asked === undefined) throw badRequest('nothing here speaks another protocol')
    const attributes = await aggregator.admit(cluster, identity, remote, asked)
    const carrier = request.socket
    gate.lasts({ cluster, request, carrier, attributes, watched: undefined, end: undefined })
    const sent = { cluster, identity, remote, request, path: wholePath(path, request) }
    await aggregator.upgrade(sent, { ...connection, response })
  }
}
