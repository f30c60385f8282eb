/**
 * Changes of kept objects: computed from the newest version at the moment of the write, so that two changes of one
 * object follow each other and none is lost or refused without need.
 */
import { isDroverError } from '../../../../kit/index.ts'
import type { ObjectKey, StoredObject } from '../../../store/index.ts'
import { preventEscalation, restrictNode } from '../access/index.ts'
import { growsWithinQuotas, quotasOf, requireWithinQuotas } from '../admission/index.ts'
import { storeKey } from '../cluster/index.ts'
import { equalJson, type Frozen, type JsonObject } from '../json.ts'
import type { Reservation } from '../kinds/index.ts'
import type { KubernetesObject } from '../objects.ts'
import { invalidObject } from '../problems.ts'
import { modified, notFound, StatusError } from '../status.ts'
import { encodeTail, keptText, tailOf, withRevision } from '../storage/index.ts'
import type { WriteContext } from './context.ts'
import { requireRoom } from './room.ts'

/** How often a deletion starts again when others keep changing the object. */
const REMOVAL_ATTEMPTS = 10

/** What shall become of the current version. */
export type Next =
  | { readonly type: 'write'; readonly object: KubernetesObject }
  | { readonly type: 'keep' }
  /** `object` is what the answer shows. */
  | { readonly type: 'remove'; readonly object: Frozen<KubernetesObject> }

export type Compute = (current: Frozen<KubernetesObject>, stored: StoredObject) => Next

export type Outcome =
  | { readonly type: 'written' | 'kept'; readonly stored: StoredObject }
  /** The last version; `revision` is that of the deletion. */
  | { readonly type: 'removed'; readonly stored: StoredObject }

/** Leaves the store's encoder without writing; never seen outside of `modifyObject`. */
class Decided extends Error {
  readonly next: Exclude<Next, { type: 'write' }>
  readonly stored: StoredObject

  constructor(next: Exclude<Next, { type: 'write' }>, stored: StoredObject) {
    super('decided without a write')
    this.next = next
    this.stored = stored
  }
}

/** Whether a new text says the same as the kept one; clients may order members differently. */
function saysTheSame(tail: string, stored: StoredObject, context: WriteContext): boolean {
  const form = context.resource.kept
  // Kept in another version of its kind, it is written anew.
  if (!stored.json.startsWith(form.head)) return false
  const before = tailOf(stored.json)
  if (tail === before) return true
  if (tail.length !== before.length) return false
  return equalJson(
    JSON.parse(keptText(form, 0, tail)) as JsonObject,
    JSON.parse(keptText(form, 0, before)) as JsonObject,
  )
}

/** Leaves the store's encoder: the change takes more of a quota, and has to wait for its turn. */
class NeedsTurn extends Error {}

class Change {
  readonly #context: WriteContext
  readonly #key: ObjectKey
  readonly #compute: Compute
  #reservation: Reservation | undefined
  /** Whether nothing else of the namespace takes more of its quotas meanwhile. */
  #hasTurn = false

  constructor(context: WriteContext, key: ObjectKey, compute: Compute) {
    this.#context = context
    this.#key = key
    this.#compute = compute
  }

  /** Runs inside the store's write. @throws `Decided` when nothing is to be written, or what refuses the change */
  #encode(revision: number, stored: StoredObject): string {
    const { resource, cluster, identity } = this.#context
    const current = cluster.read(stored)
    const next = this.#compute(current, stored)
    restrictNode(identity, {
      resource,
      current,
      next: next.type === 'write' ? next.object : undefined,
      view: cluster,
    })
    if (next.type !== 'write') throw new Decided(next, stored)
    preventEscalation(identity, cluster, { resource, current, next: next.object })
    const reserved = resource.strategy.reserve(next.object, current, cluster.pools)
    if (reserved?.kind === 'refused') throw invalidObject(resource, this.#key.name, reserved.problems)
    this.#reservation = reserved?.reservation
    this.#requireQuota(next.object, current)
    const tail = encodeTail(next.object)
    if (saysTheSame(tail, stored, this.#context)) throw new Decided({ type: 'keep' }, stored)
    const text = keptText(resource.kept, revision, tail)
    requireRoom(this.#context, this.#key.name, false, text.length - stored.json.length)
    return text
  }

  /** @throws `NeedsTurn`, `Forbidden` */
  #requireQuota(next: Frozen<KubernetesObject>, current: Frozen<KubernetesObject>): void {
    const request = { ...this.#context, namespace: this.#key.namespace }
    const quotas = quotasOf(request)
    if (quotas.length === 0 || !growsWithinQuotas(request, quotas, next, current)) return
    if (!this.#hasTurn) throw new NeedsTurn()
    requireWithinQuotas(request, quotas, next, current)
  }

  async run(): Promise<Outcome> {
    try {
      return await this.#run()
    } catch (error) {
      if (!(error instanceof NeedsTurn)) throw error
    }
    return await this.#context.cluster.quotaTurns.run(this.#key.namespace, async () => {
      this.#hasTurn = true
      return await this.#run()
    })
  }

  async #run(): Promise<Outcome> {
    const { cluster, resource } = this.#context
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#attempt()
      } catch (error) {
        this.#reservation?.cancel()
        this.#reservation = undefined
        if (error instanceof StatusError) throw error
        if (isDroverError(error, 'NotFound') && !cluster.feed.ended) throw notFound(resource, this.#key.name)
        if (!isDroverError(error, 'Conflict') || attempt === REMOVAL_ATTEMPTS) throw error
      }
    }
  }

  async #attempt(): Promise<Outcome> {
    try {
      const stored = this.#context.dryRun ? this.#dryRun() : await this.#write()
      this.#reservation?.commit()
      return { type: 'written', stored }
    } catch (error) {
      if (!(error instanceof Decided)) throw error
      this.#reservation?.cancel()
      this.#reservation = undefined
      return error.next.type === 'keep'
        ? { type: 'kept', stored: error.stored }
        : await this.#remove(error.stored, error.next.object)
    }
  }

  #write(): Promise<StoredObject> {
    return this.#context.cluster.space.update(this.#key, (revision, current) =>
      // The store has refused the update of an absent object before.
      this.#encode(revision, current as StoredObject),
    )
  }

  #dryRun(): StoredObject {
    const current = this.#context.cluster.space.get(this.#key)
    if (current === undefined) throw notFound(this.#context.resource, this.#key.name)
    const json = this.#encode(current.revision, current)
    this.#reservation?.cancel()
    this.#reservation = undefined
    return { ...current, json }
  }

  async #remove(stored: StoredObject, shown: Frozen<KubernetesObject>): Promise<Outcome> {
    const { cluster, resource, dryRun } = this.#context
    const text = keptText(resource.kept, stored.revision, encodeTail(shown as KubernetesObject))
    if (dryRun) return { type: 'removed', stored: { ...stored, json: text } }
    // A change in between makes this a conflict, and everything is decided again.
    const { revision, previous } = await cluster.space.delete(this.#key, { revision: stored.revision })
    resource.strategy.release(cluster.read(previous), cluster.pools)
    if (resource.kept.storeKind === 'namespaces') cluster.closingNamespaces.delete(this.#key.name)
    return { type: 'removed', stored: { ...previous, json: withRevision(resource.kept, text, revision) } }
  }
}

/**
 * Changes an object to what `compute` makes of its newest version. `compute` may be called more than once and must not
 * change what it is given.
 *
 * @throws `NotFound`, what `compute` throws, and what the store throws
 */
export function modifyObject(
  context: WriteContext,
  namespace: string,
  name: string,
  compute: Compute,
): Promise<Outcome> {
  return new Change(context, storeKey(context.resource, namespace, name), compute).run()
}

/** @throws `Conflict` when the client's version is not the newest */
export function requireVersion(
  { resource }: WriteContext,
  name: string,
  wanted: string | undefined,
  current: Frozen<KubernetesObject>,
): void {
  if (wanted === undefined || wanted === '' || wanted === '0') return
  if (wanted !== current.metadata.resourceVersion) throw modified(resource, name)
}
