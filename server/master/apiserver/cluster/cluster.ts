/** One open cluster: its objects, its changes, and the little that is kept beside them. */
import { type Clock, KeyedLock, type Logger } from '../../../../kit/index.ts'
import type { ObjectKey, Space, StoredObject } from '../../../store/index.ts'
import type { AccessView, Authorizer } from '../access/index.ts'
import { API_SERVICES_KIND, RemoteApis } from '../aggregation/index.ts'
import type { BackendClient } from '../backends/index.ts'
import type { Catalog, Resource } from '../catalog/index.ts'
import { Conversions } from '../conversion/index.ts'
import { CustomKinds, DEFINITIONS_KIND } from '../custom/index.ts'
import type { Frozen } from '../json.ts'
import { type ClusterPools, ServiceAddresses } from '../kinds/index.ts'
import { RequestMetrics } from '../metrics/index.ts'
import type { KubernetesObject, Service } from '../objects.ts'
import type { ParsedObjects } from '../storage/index.ts'
import { AdmissionWebhooks, MUTATING_KIND, VALIDATING_KIND } from '../webhooks/index.ts'
import { ChangeFeed } from './change-feed.ts'
import { ListSnapshots } from './list-snapshots.ts'

/** How much a cluster may hold. */
export interface ClusterLimits {
  readonly objects: number
  /** Of the JSON of all objects together, in characters. */
  readonly length: number
}

/** Far above what the largest clusters have, and what a server holds in memory. */
export const DEFAULT_CLUSTER_LIMITS: ClusterLimits = { objects: 500_000, length: 1024 ** 3 }

/** By kept kind, the field that tells watchers apart when many watch few objects each: agents watch their own pods. */
export const INDEXED_FIELDS: ReadonlyMap<string, string> = new Map([['pods', 'spec.nodeName']])

export interface ClusterOptions {
  readonly space: Space
  readonly catalog: Catalog
  readonly clock: Clock
  readonly log: Logger
  /** Shared by all clusters of the process. */
  readonly parsed: ParsedObjects
  readonly limits: ClusterLimits
  readonly authorizer: Authorizer
  /** Speaks to what is inside of clusters. */
  readonly backends: BackendClient
}

export class Cluster implements AccessView {
  readonly space: Space
  readonly clock: Clock
  readonly limits: ClusterLimits
  /** Kinds that this cluster has of its own. */
  readonly customKinds: CustomKinds
  /** Between versions of custom kinds. */
  readonly conversions: Conversions
  /** Whom writes are told to before they happen. */
  readonly webhooks: AdmissionWebhooks
  /** Parts of its API that others serve. */
  readonly remoteApis: RemoteApis
  readonly feed: ChangeFeed
  readonly pools: ClusterPools
  readonly snapshots: ListSnapshots
  /** Counted since the cluster is in memory. */
  readonly requests = new RequestMetrics()
  /**
   * Namespaces whose deletion has been accepted, also before it is on disk: nothing new may be created in them, or it
   * would be left over when they are gone.
   */
  readonly closingNamespaces = new Set<string>()
  /** By namespace: what is made where quotas are. */
  readonly quotaTurns = new KeyedLock<string>('namespace', 4096)
  readonly #parsed: ParsedObjects
  readonly #closing = new AbortController()
  #users = 0
  #uses = 0

  constructor({ space, catalog, clock, log, parsed, limits, authorizer, backends }: ClusterOptions) {
    this.space = space
    this.limits = limits
    this.clock = clock
    this.#parsed = parsed
    this.snapshots = new ListSnapshots(clock)
    this.customKinds = new CustomKinds({ space, base: catalog, log, read: stored => this.read(stored) })
    this.feed = new ChangeFeed(space, kind => this.#fieldReader(kind), log)
    this.feed.subscribe(DEFINITIONS_KIND, { type: 'all' }, this.feed.revision, {
      receive: event => this.customKinds.receive(event),
      end: () => undefined,
    })
    this.conversions = new Conversions({ cluster: this, client: backends })
    this.webhooks = new AdmissionWebhooks({
      cluster: this,
      space,
      catalog: () => this.catalog,
      client: backends,
      authorizer,
    })
    for (const kind of [MUTATING_KIND, VALIDATING_KIND]) {
      this.feed.subscribe(kind, { type: 'all' }, this.feed.revision, {
        receive: () => this.webhooks.changed(),
        end: () => undefined,
      })
    }
    const isBuiltIn = (group: string, version: string) =>
      catalog.groupVersions.some(each => each.group === group && each.version === version)
    this.remoteApis = new RemoteApis(this, isBuiltIn)
    this.feed.subscribe(API_SERVICES_KIND, { type: 'all' }, this.feed.revision, {
      receive: event => this.remoteApis.receive(event),
      end: () => undefined,
    })
    this.pools = {
      definitions: this.customKinds,
      serviceAddresses: new ServiceAddresses(() =>
        space.list('services').objects.map(stored => this.read(stored) as Frozen<Service>),
      ),
    }
  }

  #fieldReader(kind: string): ((stored: StoredObject) => string) | undefined {
    const field = INDEXED_FIELDS.get(kind)
    const resource = this.catalog.keptResources().find(({ kept }) => kept.storeKind === kind)
    const read = field === undefined ? undefined : resource?.strategy.selectable.get(field)
    return read && (stored => read(this.read(stored)))
  }

  /** What is served now. */
  get catalog(): Catalog {
    return this.customKinds.catalog
  }

  get id(): string {
    return this.space.id
  }

  /** The parsed form of a stored object. Shared: not to be changed. */
  read(stored: StoredObject): Frozen<KubernetesObject> {
    return this.#parsed.read(stored)
  }

  find(kind: string, namespace: string, name: string): StoredObject | undefined {
    return this.space.get({ kind, namespace, name })
  }

  list(kind: string, namespace: string | undefined): readonly StoredObject[] {
    return this.space.list(kind, namespace).objects
  }

  /** Notes that somebody uses the cluster, until the returned function is called. */
  hold(): () => void {
    this.#users += 1
    this.#uses += 1
    let held = true
    return () => {
      if (held) this.#users -= 1
      held = false
    }
  }

  /** How many use it now, how many ever did, and its newest revision: a cluster that is used changes one of them. */
  get activity(): { readonly users: number; readonly uses: number; readonly revision: number } {
    return { users: this.#users, uses: this.#uses, revision: this.space.revision }
  }

  /** Aborts when the cluster leaves memory. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  /** Lets go of whoever is asked outside of the server, so that nobody waits for them. */
  beginClosing(): void {
    this.#closing.abort(new Error('the cluster is closed'))
  }

  close(): void {
    this.beginClosing()
    this.feed.stop()
    this.snapshots.clear()
  }
}

/** The key under which an object of a resource is kept. */
export function storeKey(resource: Resource, namespace: string, name: string): ObjectKey {
  return { kind: resource.kept.storeKind, namespace: resource.namespaced ? namespace : '', name }
}
