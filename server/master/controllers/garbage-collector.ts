/**
 * Removes what its owners leave behind (Kubernetes "Garbage Collection"): dependents of owners that are gone, in the
 * background, before their owner goes (foreground), or not at all (orphan).
 */
import { ReconcileLoop } from '../../../kit/index.ts'
import {
  CUSTOM_RESOURCE_DEFINITIONS,
  type Frozen,
  type KeptResource,
  type KubernetesObject,
  type OwnerReference,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import type { Controller, ControllerOptions } from './controller.ts'

/** Finalizers that deletes with a propagation policy set. */
const FOREGROUND = 'foregroundDeletion'
const ORPHAN = 'orphan'

/** Kinds that own nothing, have no owners, and change all the time. */
const LEFT_OUT = new Set(['/events', 'coordination.k8s.io/leases'])

/** Objects that are looked at for a circle of owners; who makes longer ones waits until somebody cuts them. */
const CIRCLE_LIMIT = 256

/** Of the loop's own: look which kinds there are. No object's key is like it. */
const KINDS = 'kinds'

interface Place {
  readonly resource: KeptResource
  readonly namespace: string
  readonly name: string
}

function waitsFor(object: Frozen<KubernetesObject>, finalizer: string): boolean {
  const { deletionTimestamp, finalizers = [] } = object.metadata
  return deletionTimestamp !== undefined && finalizers.includes(finalizer)
}

function sameOwners(one: Frozen<KubernetesObject>, other: Frozen<KubernetesObject>): boolean {
  const uids = ({ metadata }: Frozen<KubernetesObject>) =>
    (metadata.ownerReferences ?? [])
      .map(({ uid, blockOwnerDeletion }) => `${uid} ${blockOwnerDeletion}`)
      .join()
  return uids(one) === uids(other)
}

function refersTo({ metadata }: Frozen<KubernetesObject>, owner: string): boolean {
  return metadata.ownerReferences?.some(({ uid }) => uid === owner) === true
}

/** Whether an owner has to wait for a dependent. */
function holds({ metadata }: Frozen<KubernetesObject>, owner: string): boolean {
  return metadata.ownerReferences?.find(({ uid }) => uid === owner)?.blockOwnerDeletion === true
}

export class GarbageCollector implements Controller {
  readonly #client: ControllerOptions['client']
  readonly #loop: ReconcileLoop
  /** By `apiVersion/kind`. */
  #resources: ReadonlyMap<string, KeptResource> = new Map()
  readonly #places = new Map<string, Place>()
  /** Keys of dependents by the uid of an owner. */
  readonly #dependents = new Map<string, Set<string>>()
  /** Keys of owners that wait for their dependents, by uid. */
  readonly #waiting = new Map<string, string>()
  /** Uids of owners that are gone and have dependents yet; their kind may be gone too. */
  readonly #gone = new Set<string>()
  /** Who watches the objects of a kind, by group, version and plural. */
  readonly #observed = new Map<string, () => void>()
  #stopDefinitions: () => void = () => undefined

  constructor({ client, clock, log }: ControllerOptions) {
    this.#client = client
    this.#loop = new ReconcileLoop({
      name: 'garbage',
      reconcile: async key => {
        if (key === KINDS) await this.#followKinds()
        else await this.#reconcile(key)
        return undefined
      },
      log,
      clock,
    })
  }

  async start(): Promise<void> {
    await this.#followKinds()
    // Custom kinds come and go.
    const look = () => this.#loop.kick(KINDS)
    this.#stopDefinitions = await this.#client.observe(CUSTOM_RESOURCE_DEFINITIONS, {
      sync: () => undefined,
      changed: look,
      removed: look,
    })
    this.#loop.start()
  }

  async stop(): Promise<void> {
    this.#stopDefinitions()
    await this.#loop.stop()
    for (const stop of this.#observed.values()) stop()
  }

  /** Observes the objects of every kind that there is. */
  async #followKinds(): Promise<void> {
    const kept: ReadonlyMap<string, KeptResource> = new Map(
      this.#client
        .keptResources()
        .filter(({ group, resource }) => !LEFT_OUT.has(`${group}/${resource}`))
        .map(resource => [`${resource.group}/${resource.version}/${resource.resource}`, resource] as const),
    )
    // Owners may be named in any version of their kind.
    this.#resources = new Map(
      [...this.#client.servedResources(), ...kept.values()].map(resource => [
        `${resource.group === '' ? '' : `${resource.group}/`}${resource.version}/${resource.kind}`,
        resource,
      ]),
    )
    for (const [key, stop] of this.#observed) {
      if (kept.has(key)) continue
      stop()
      this.#observed.delete(key)
    }
    for (const [key, resource] of kept) {
      if (!this.#observed.has(key)) this.#observed.set(key, await this.#observe(resource))
    }
  }

  async #observe(resource: KeptResource): Promise<() => void> {
    const seen = (object: Frozen<KubernetesObject>, previous?: Frozen<KubernetesObject>) =>
      this.#seen(resource, object, previous)
    return await this.#client.observe(resource, {
      sync: objects => {
        for (const object of objects) seen(object)
      },
      changed: seen,
      removed: object => this.#removed(resource, object),
    })
  }

  #key({ group, resource }: KeptResource, { metadata }: Frozen<KubernetesObject>): string {
    return `${group}/${resource} ${metadata.namespace ?? ''}/${metadata.name}`
  }

  #seen(
    resource: KeptResource,
    object: Frozen<KubernetesObject>,
    previous: Frozen<KubernetesObject> | undefined,
  ): void {
    const { ownerReferences = [], namespace = '', name, uid = '' } = object.metadata
    const key = this.#key(resource, object)
    const waits = waitsFor(object, FOREGROUND) || waitsFor(object, ORPHAN)
    const changed = previous === undefined || !sameOwners(object, previous)
    if (previous !== undefined && changed) this.#forgetOwners(key, previous)
    if (waits) this.#waiting.set(uid, key)
    if (ownerReferences.length === 0 && !waits) {
      if (changed) this.#places.delete(key)
      return
    }
    this.#places.set(key, { resource, namespace, name })
    for (const { uid: owner } of ownerReferences) {
      this.#dependents.set(owner, (this.#dependents.get(owner) ?? new Set()).add(key))
    }
    if (changed || waits) this.#loop.kick(key)
  }

  #forgetOwners(key: string, { metadata }: Frozen<KubernetesObject>): void {
    for (const { uid } of metadata.ownerReferences ?? []) {
      const keys = this.#dependents.get(uid)
      keys?.delete(key)
      if (keys?.size === 0) {
        this.#dependents.delete(uid)
        this.#gone.delete(uid)
      }
      const owner = this.#waiting.get(uid)
      if (owner !== undefined) this.#loop.kick(owner)
    }
  }

  #removed(resource: KeptResource, object: Frozen<KubernetesObject>): void {
    const key = this.#key(resource, object)
    const { uid = '' } = object.metadata
    this.#forgetOwners(key, object)
    this.#places.delete(key)
    this.#waiting.delete(uid)
    const dependents = this.#dependents.get(uid) ?? []
    if (this.#dependents.has(uid)) this.#gone.add(uid)
    for (const dependent of dependents) this.#loop.kick(dependent)
  }

  async #reconcile(key: string): Promise<void> {
    const place = this.#places.get(key)
    if (place === undefined) return
    const object = await this.#client.get(place.resource, place)
    if (object === undefined) return
    if (waitsFor(object, ORPHAN)) await this.#orphan(place, object)
    else if (waitsFor(object, FOREGROUND)) await this.#waitForDependents(place, object)
    if (
      (object.metadata.ownerReferences ?? []).length > 0 &&
      object.metadata.deletionTimestamp === undefined
    ) {
      await this.#checkOwners(place, object)
    }
  }

  /** @returns the owner as it is; `unknown` for a kind that is not served */
  async #ownerOf(
    { apiVersion, kind, name, uid }: Frozen<OwnerReference>,
    namespace: string,
  ): Promise<Frozen<KubernetesObject> | 'absent' | 'unknown'> {
    if (this.#gone.has(uid)) return 'absent'
    const resource = this.#resources.get(`${apiVersion}/${kind}`)
    // What is in no namespace cannot belong to something in one: nobody can say whether that owner is there.
    if (resource === undefined || (resource.namespaced && namespace === '')) return 'unknown'
    const owner = await this.#client.get(resource, { namespace: resource.namespaced ? namespace : '', name })
    return owner === undefined || owner.metadata.uid !== uid ? 'absent' : owner
  }

  async #checkOwners(place: Place, object: Frozen<KubernetesObject>): Promise<void> {
    const gone = new Set<string>()
    const waiting = new Set<string>()
    let solid = false
    for (const reference of object.metadata.ownerReferences ?? []) {
      const owner = await this.#ownerOf(reference, place.namespace)
      if (owner === 'absent') gone.add(reference.uid)
      else if (owner !== 'unknown' && waitsFor(owner, FOREGROUND)) waiting.add(reference.uid)
      else solid = true
    }
    if (solid) {
      // It stays for its other owner: one that waits would wait for ever.
      const left = gone.union(waiting)
      if (left.size > 0) await this.#removeOwners(place, object, uid => left.has(uid))
      return
    }
    const { uid = '' } = object.metadata
    const hasDependents = (this.#dependents.get(uid)?.size ?? 0) > 0
    await unlessAbsent(() =>
      this.#client.delete(place.resource, place, {
        preconditions: { uid },
        propagationPolicy: waiting.size > 0 && hasDependents ? 'Foreground' : 'Background',
      }),
    )
  }

  async #waitForDependents(place: Place, owner: Frozen<KubernetesObject>): Promise<void> {
    const { uid = '' } = owner.metadata
    let blocked = false
    for (const key of this.#dependents.get(uid) ?? []) {
      const dependent = this.#places.get(key)
      const object = dependent && (await this.#client.get(dependent.resource, dependent))
      if (object === undefined || !refersTo(object, uid)) continue
      if (holds(object, uid)) blocked = true
      // One that is ended already is looked at when something changes; kicking it would go round in circles for ever.
      if (object.metadata.deletionTimestamp === undefined) this.#loop.kick(key)
    }
    if (!blocked || (await this.#waitsForItself(owner))) await this.#removeFinalizer(place, owner, FOREGROUND)
  }

  /** Whether what an owner waits for waits for that owner: none of them would ever go. */
  async #waitsForItself(owner: Frozen<KubernetesObject>): Promise<boolean> {
    const { uid: wanted = '' } = owner.metadata
    const met = new Set([wanted])
    for (const uid of met) {
      for (const key of this.#dependents.get(uid) ?? []) {
        const place = this.#places.get(key)
        const object = place && (await this.#client.get(place.resource, place))
        if (object === undefined || !holds(object, uid) || !waitsFor(object, FOREGROUND)) continue
        if (object.metadata.uid === wanted) return true
        met.add(object.metadata.uid ?? '')
        if (met.size > CIRCLE_LIMIT) return false
      }
    }
    return false
  }

  async #orphan(place: Place, owner: Frozen<KubernetesObject>): Promise<void> {
    const { uid = '' } = owner.metadata
    for (const key of [...(this.#dependents.get(uid) ?? [])]) {
      const dependent = this.#places.get(key)
      const object = dependent && (await this.#client.get(dependent.resource, dependent))
      if (dependent !== undefined && object !== undefined)
        await this.#removeOwners(dependent, object, each => each === uid)
    }
    await this.#removeFinalizer(place, owner, ORPHAN)
  }

  async #removeOwners(
    place: Place,
    object: Frozen<KubernetesObject>,
    drop: (uid: string) => boolean,
  ): Promise<void> {
    const { ownerReferences = [], resourceVersion = '' } = object.metadata
    const left = ownerReferences.filter(({ uid }) => !drop(uid)).map(reference => ({ ...reference }))
    await this.#patch(place, { ownerReferences: left.length === 0 ? null : left, resourceVersion })
  }

  async #removeFinalizer(place: Place, object: Frozen<KubernetesObject>, finalizer: string): Promise<void> {
    const { finalizers = [], resourceVersion = '' } = object.metadata
    await this.#patch(place, { finalizers: finalizers.filter(each => each !== finalizer), resourceVersion })
  }

  /** With the version that was looked at: what somebody adds meanwhile must not be lost. */
  async #patch(place: Place, metadata: Parameters<typeof JSON.stringify>[0]): Promise<void> {
    await unlessAbsent(async () => {
      await this.#client.patch(place.resource, place, { type: 'merge', body: { metadata } })
    })
  }
}
