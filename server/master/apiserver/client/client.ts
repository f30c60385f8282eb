/**
 * A client of a cluster inside the process: the same access checks, validation and storage as over HTTP, without
 * sockets and texts in between.
 */
import type { ChangeEvent, StoredObject } from '../../../store/index.ts'
import { type Attributes, type Authorizer, type Identity, requireAccess, type Verb } from '../access/index.ts'
import { formatAmount, usageOfQuota } from '../admission/index.ts'
import type { Resource } from '../catalog/index.ts'
import { type Cluster, type Interest, type Subscriber, storeKey } from '../cluster/index.ts'
import type { Frozen, JsonObject, JsonValue } from '../json.ts'
import type { DeleteOptions, KubernetesObject, ResourceQuota } from '../objects.ts'
import {
  bindPod,
  createObject,
  deleteObject,
  deleteObjects,
  listObjects,
  type Part,
  type PatchType,
  patchObject,
  updateObject,
  type WriteContext,
} from '../operations/index.ts'
import { Selection } from '../selection/index.ts'
import { type KeptResource, PODS, RESOURCE_QUOTAS, type ResourceReference } from './resource-reference.ts'

/** A new object, or a version to be written. */
export type Draft<T extends KubernetesObject> = Omit<T, 'metadata'> & {
  metadata: Partial<T['metadata']>
}

/** Who is told of the objects of a resource. Its methods must neither throw nor take long. */
export interface Observer<T extends KubernetesObject> {
  /** Everything there is, once, before any change. */
  sync(objects: readonly Frozen<T>[]): void
  /** `previous` is undefined for a new object. */
  changed(object: Frozen<T>, previous: Frozen<T> | undefined): void
  removed(object: Frozen<T>): void
  /** Whether an object may matter, by its text as it is kept: others are never read. All may where it is absent. */
  concerns?(text: string): boolean
}

export interface ObjectName {
  /** Empty for kinds without namespaces. */
  readonly namespace: string
  readonly name: string
}

const EVERYTHING = { labelSelector: undefined, fieldSelector: undefined }
const WHOLE_LIST = { limit: 0, continueToken: '', resourceVersion: '', resourceVersionMatch: '' } as const

/** A change matters when what there was does, or what there is. */
function mayConcern({ concerns }: Pick<Observer<never>, 'concerns'>, event: ChangeEvent): boolean {
  if (concerns === undefined) return true
  const before = event.type === 'created' ? undefined : event.previous
  const after = event.type === 'deleted' ? undefined : event.object
  return [before, after].some(stored => stored !== undefined && concerns(stored.json))
}

export class ClusterClient {
  readonly #cluster: Cluster
  readonly #identity: Identity
  readonly #authorizer: Authorizer
  readonly #bypassesWebhooks: boolean

  /** @param options whether admission webhooks are not asked about what it writes */
  constructor(
    cluster: Cluster,
    identity: Identity,
    authorizer: Authorizer,
    { bypassesWebhooks = false }: { readonly bypassesWebhooks?: boolean } = {},
  ) {
    this.#cluster = cluster
    this.#identity = identity
    this.#authorizer = authorizer
    this.#bypassesWebhooks = bypassesWebhooks
  }

  /** Every resource whose objects are kept, each kept form once. */
  keptResources(): readonly KeptResource[] {
    return this.#cluster.catalog.keptResources()
  }

  /** Every resource under which objects of their own form are served, custom kinds in each of their versions. */
  servedResources(): readonly KeptResource[] {
    return this.#cluster.catalog.groupVersions.flatMap(({ resources }) =>
      resources.filter(({ face, review }) => face === undefined && !review),
    )
  }

  /** Resources whose objects live in namespaces, each kept form once. */
  namespacedResources(): ResourceReference[] {
    return this.#cluster.catalog.keptResources().filter(resource => resource.namespaced)
  }

  /** The newest version; undefined when there is none. @throws `Forbidden` */
  async get<T extends KubernetesObject>(
    reference: ResourceReference<T>,
    target: ObjectName,
  ): Promise<Frozen<T> | undefined> {
    const resource = await this.#open(reference, 'get', target)
    const stored = this.#cluster.space.get(storeKey(resource, target.namespace, target.name))
    return stored && this.#read<T>(stored)
  }

  /** Whether there is such an object. Nobody looks into it, which takes longer than finding it. @throws `Forbidden` */
  async has(reference: ResourceReference, target: ObjectName): Promise<boolean> {
    const resource = await this.#open(reference, 'get', target)
    return this.#cluster.space.get(storeKey(resource, target.namespace, target.name)) !== undefined
  }

  /** @param namespace empty for all */
  async list<T extends KubernetesObject>(
    reference: ResourceReference<T>,
    namespace = '',
  ): Promise<readonly Frozen<T>[]> {
    const resource = await this.#open(reference, 'list', { namespace, name: '' })
    return this.#list(resource, namespace).map(stored => this.#read<T>(stored))
  }

  /** @throws `AlreadyExists`, `Invalid`, `Forbidden`, `NotFound` for its namespace */
  async create<T extends KubernetesObject>(
    reference: ResourceReference<T>,
    draft: Draft<T>,
  ): Promise<Frozen<T>> {
    const namespace = draft.metadata.namespace ?? ''
    const resource = await this.#open(reference, 'create', { namespace, name: '' })
    const body = structuredClone(draft) as unknown as JsonObject
    return this.#read<T>(await createObject(this.#context(resource), namespace, body))
  }

  /** @throws `NotFound`, `Conflict`, `Invalid`, `Forbidden` */
  async update<T extends KubernetesObject>(
    reference: ResourceReference<T>,
    draft: Draft<T>,
    part: Part = '',
  ): Promise<Frozen<T>> {
    const { namespace = '', name = '' } = draft.metadata
    const resource = await this.#open(reference, 'update', { namespace, name }, part)
    const body = structuredClone(draft) as unknown as JsonObject
    const { outcome } = await updateObject(this.#context(resource), namespace, name, body, part)
    return this.#read<T>(outcome.stored)
  }

  /** @throws `NotFound`, `Conflict`, `Invalid`, `Forbidden` */
  async patch<T extends KubernetesObject>(
    reference: ResourceReference<T>,
    target: ObjectName,
    patch: { readonly type: PatchType; readonly body: JsonValue; readonly part?: Part },
  ): Promise<Frozen<T>> {
    const part = patch.part ?? ''
    const resource = await this.#open(reference, 'patch', target, part)
    const outcome = await patchObject(this.#context(resource), { ...target, part }, patch.type, patch.body)
    return this.#read<T>(outcome.stored)
  }

  /** @throws `NotFound`, `Conflict`, `Forbidden` */
  async delete(reference: ResourceReference, target: ObjectName, options: DeleteOptions = {}): Promise<void> {
    const resource = await this.#open(reference, 'delete', target)
    await deleteObject(this.#context(resource), target.namespace, target.name, options)
  }

  /**
   * Deletes every object of a resource in a namespace.
   *
   * @returns how many are still there, in their grace period or held by finalizers
   */
  async deleteCollection(reference: ResourceReference, namespace: string): Promise<number> {
    const resource = await this.#open(reference, 'deletecollection', { namespace, name: '' })
    await deleteObjects(this.#context(resource), this.#list(resource, namespace), {})
    return this.#list(resource, namespace).length
  }

  /** What its namespace uses of a quota, as quantities. @throws `Forbidden` */
  async quotaUse(quota: Frozen<ResourceQuota>): Promise<Record<string, string>> {
    const { namespace = '', name } = quota.metadata
    await this.#open(RESOURCE_QUOTAS, 'get', { namespace, name })
    const usage = usageOfQuota(this.#cluster, quota)
    return Object.fromEntries([...usage].map(([counted, amount]) => [counted, formatAmount(counted, amount)]))
  }

  /** Binds a pod to a node. @throws `NotFound`, `Conflict`, `Forbidden` */
  async bind({ namespace, name }: ObjectName, node: string): Promise<void> {
    const resource = await this.#open(PODS, 'create', { namespace, name }, 'binding')
    const body: JsonObject = { metadata: { name, namespace }, target: { kind: 'Node', name: node } }
    await bindPod(this.#context(resource), namespace, name, body)
  }

  /**
   * Tells `observer` what there is and then every change, until the returned function is called or the cluster ends.
   *
   * @param namespace empty for all
   * @throws `Forbidden`
   */
  async observe<T extends KubernetesObject>(
    reference: ResourceReference<T>,
    observer: Observer<T>,
    namespace = '',
  ): Promise<() => void> {
    await this.#open(reference, 'list', { namespace, name: '' })
    const resource = await this.#open(reference, 'watch', { namespace, name: '' })
    const { feed, space } = this.#cluster
    const interest: Interest = namespace === '' ? { type: 'all' } : { type: 'namespace', namespace }
    const kind = resource.kept.storeKind
    // Without a pause between them, so that no change falls between the list and the changes.
    const { revision } = space
    const objects = this.#list(resource, namespace)
      .filter(({ json }) => observer.concerns?.(json) ?? true)
      .map(stored => this.#read<T>(stored))
    const subscriber = this.#subscriber(observer, revision)
    observer.sync(objects)
    const missed = feed.subscribe(kind, interest, revision, subscriber) ?? []
    for (const event of missed) subscriber.receive(event)
    return () => feed.unsubscribe(kind, interest, subscriber)
  }

  #subscriber<T extends KubernetesObject>(observer: Observer<T>, after: number): Subscriber {
    return {
      receive: event => {
        if (event.revision <= after || !mayConcern(observer, event)) return
        switch (event.type) {
          case 'created':
            observer.changed(this.#read<T>(event.object), undefined)
            break
          case 'updated':
            observer.changed(this.#read<T>(event.object), this.#read<T>(event.previous))
            break
          case 'deleted':
            observer.removed(this.#read<T>(event.previous))
        }
      },
      end: () => undefined,
    }
  }

  #list(resource: Resource, namespace: string): readonly StoredObject[] {
    const selection = new Selection(EVERYTHING, resource.strategy.selectable)
    return listObjects(this.#cluster, resource, namespace, selection, WHOLE_LIST).objects
  }

  #read<T extends KubernetesObject>(stored: StoredObject): Frozen<T> {
    return this.#cluster.read(stored) as unknown as Frozen<T>
  }

  #context(resource: Resource): WriteContext {
    return {
      cluster: this.#cluster,
      resource,
      identity: this.#identity,
      dryRun: false,
      bypassesWebhooks: this.#bypassesWebhooks,
      fieldValidation: 'Strict',
      warn: () => undefined,
    }
  }

  /** @throws `Forbidden` */
  async #open(
    { group, version, resource: name }: ResourceReference,
    verb: Verb,
    target: ObjectName,
    subresource = '',
  ): Promise<Resource> {
    const resource = this.#cluster.catalog.get(group, version, name)
    const attributes: Attributes = {
      identity: this.#identity,
      verb,
      group,
      resource: name,
      subresource,
      namespace: target.namespace,
      name: target.name,
      requiredField: () => undefined,
    }
    await requireAccess(this.#authorizer, attributes, this.#cluster)
    return resource
  }
}
