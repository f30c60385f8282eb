/** Who comes in, to which cluster and for what; and who has to leave again. */
import type { IncomingMessage } from 'node:http'
import { type Clock, explainError, type Logger } from '../../../../kit/index.ts'
import {
  type Attributes,
  type Authorizer,
  type Credentials,
  type Identity,
  impersonate,
  requireAccess,
} from '../access/index.ts'
import type { Catalog, Resource } from '../catalog/index.ts'
import type { Cluster } from '../cluster/index.ts'
import { notFound, StatusError } from '../status.ts'
import type { Authentication } from './authentication.ts'
import { credentialsOf } from './credentials.ts'
import { LastingRequests } from './lasting-requests.ts'
import { labelsOf } from './request-labels.ts'
import { findRoute, type Route } from './route.ts'

/** A response, or the connection of another protocol. */
interface Carrier {
  readonly closed: boolean
  once(event: 'close', listener: () => void): unknown
  destroy(): unknown
}

export interface Arrival {
  readonly request: IncomingMessage
  readonly query: URLSearchParams
  /** What closes when the request is over. */
  readonly carrier: Carrier
  /** The status of the answer, when it is over. */
  readonly code: () => number
  /** Of the cluster. */
  readonly id: string
  readonly path: string
  /** What the path means where no kinds were defined. */
  readonly expected: Route
}

export interface Admission {
  readonly cluster: Cluster
  readonly identity: Identity
  readonly route: Route
}

export interface Lasting {
  readonly cluster: Cluster
  readonly request: IncomingMessage
  readonly carrier: Carrier
  /** What it takes to be let in. */
  readonly attributes: Attributes
  /** What is watched; undefined for streams. */
  readonly watched: Resource | undefined
  /** Ends it in good order; undefined where only its connection can be cut. */
  readonly end: (() => void) | undefined
}

export interface GateOptions {
  /** Opens a cluster; undefined when there is none. */
  readonly openCluster: (id: string) => Promise<Cluster | undefined>
  /** What clusters serve until they choose their version. */
  readonly catalog: Catalog
  readonly authentication: Authentication
  readonly authorizer: Authorizer
  readonly clock: Clock
  readonly log: Logger
}

export class Gate {
  readonly #options: GateOptions
  readonly #lasting: LastingRequests

  constructor(options: GateOptions) {
    this.#options = options
    this.#lasting = new LastingRequests(options.clock, options.log)
  }

  /**
   * Lets a request into its cluster, which stays awake for it and counts it.
   *
   * @throws `Unauthorized`, `NotFound`, `Forbidden`, `BadRequest`
   */
  async admit({ request, query, carrier, code, id, path, expected }: Arrival): Promise<Admission> {
    const { catalog, authentication, authorizer, openCluster } = this.#options
    const real = (await authentication.identify(id, credentialsOf(request)))?.identity
    if (real === undefined) throw new StatusError('Unauthorized', 'Unauthorized')
    const cluster = await openCluster(id)
    // Who is somebody in a cluster that does not exist is somebody everywhere, and may know.
    if (cluster === undefined) throw notFound({ group: '', resource: 'clusters' }, id)
    const known = cluster.catalog === catalog ? expected : findRoute(cluster.catalog, path)
    const route = known.type === 'unknown' ? latestRoute(cluster, path) : known
    if (!carrier.closed) {
      const labels = labelsOf({ request, route, query, path, remote: cluster.remoteApis.at(path) })
      const release = cluster.hold()
      const end = cluster.requests.begin(labels)
      carrier.once('close', () => {
        release()
        end(code())
      })
    }
    const identity = await impersonate(real, request.headersDistinct, authorizer, cluster)
    return { cluster, identity, route }
  }

  /** Ends a request that lasts, as soon as it would not be let in any more. */
  lasts(lasting: Lasting): void {
    const { cluster, carrier } = lasting
    this.#note(lasting).catch(error => {
      const reason = explainError(error)
      this.#options.log.warn({ cluster: cluster.id, reason }, 'a request that lasts could not be noted')
      carrier.destroy()
    })
  }

  /** Credentials that no cluster knows of may be good no more. */
  credentialsChanged(): void {
    this.#lasting.askAll()
  }

  stop(): Promise<void> {
    return this.#lasting.stop()
  }

  async #note({ cluster, request, carrier, attributes, watched, end }: Lasting): Promise<void> {
    const credentials = credentialsOf(request)
    const standsOn = await this.#options.authentication.standOn(cluster.id, credentials)
    if (carrier.closed) return
    const remove = this.#lasting.add({
      cluster,
      watched,
      standsOn,
      end,
      cut: () => carrier.destroy(),
      isAdmitted: () => this.#isAdmitted(cluster, credentials, request, attributes),
    })
    carrier.once('close', remove)
  }

  async #isAdmitted(
    cluster: Cluster,
    credentials: Credentials,
    request: IncomingMessage,
    attributes: Attributes,
  ): Promise<boolean> {
    const { authentication, authorizer } = this.#options
    const real = (await authentication.identify(cluster.id, credentials))?.identity
    if (real === undefined) return false
    try {
      const identity = await impersonate(real, request.headersDistinct, authorizer, cluster)
      await requireAccess(authorizer, { ...attributes, identity }, cluster)
      return true
    } catch (error) {
      if (error instanceof StatusError && error.reason === 'Forbidden') return false
      throw error
    }
  }
}

/** What an unknown path means after a look at kinds that were defined at this moment. */
function latestRoute(cluster: Cluster, path: string): Route {
  cluster.customKinds.refresh()
  return findRoute(cluster.catalog, path)
}
