/**
 * Gives objects without an owner to the workload whose selector they match, and takes the owner from those that do not match
 * any more: who changes a pod's labels takes it aside, to look at it, and gets another one in its place.
 */
import {
  type ClusterClient,
  type Frozen,
  isOver,
  type KubernetesObject,
  type LabelSelector,
  type ObjectName,
  type OwnerReference,
  PODS,
  type Pod,
  type ResourceReference,
  selectorMatches,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import { nameOf } from './object-loop.ts'
import { controllerOf, type OwnedPods } from './owned-pods.ts'

/** What is known of an object that a workload has. */
export interface OwnedObject extends ObjectName {
  readonly uid: string
  readonly labels: Readonly<Record<string, string>>
}

export interface AdoptionOptions<T extends KubernetesObject> {
  readonly client: ClusterClient
  /** What is adopted. */
  readonly reference: ResourceReference<T>
  /** Told of each that has got its owner, before anybody observes it. */
  readonly adopted: (object: Frozen<T>) => void
  /** Told of each that has lost it, as it was before. */
  readonly released: (object: Frozen<T>) => void
  /** What objects that have an owner must have, too. */
  readonly finalizer?: string
  /** Asks for a look at a workload. */
  readonly kick: (target: ObjectName) => void
  /** Whether a workload may have an object beside its labels; every one unless it is said. */
  readonly fits?: (target: ObjectName, object: Frozen<T>) => boolean
}

export interface PodAdoptionOptions
  extends Pick<AdoptionOptions<Pod>, 'client' | 'kick' | 'fits' | 'finalizer'> {
  readonly pods: OwnedPods
}

/** For workloads that have pods. */
export function podAdoption({ pods, fits = () => true, ...rest }: PodAdoptionOptions): Adoption<Pod> {
  return new Adoption({
    ...rest,
    reference: PODS,
    adopted: pod => pods.put(pod),
    released: pod => pods.remove(pod),
    fits: (target, pod) => !isOver(pod) && fits(target, pod),
  })
}

function isOrphan({ metadata }: Frozen<KubernetesObject>): boolean {
  return metadata.deletionTimestamp === undefined && controllerOf(metadata.ownerReferences) === undefined
}

export class Adoption<T extends KubernetesObject> {
  readonly #options: AdoptionOptions<T>
  /** Selectors of the workloads of a namespace, by name. */
  readonly #selectors = new Map<string, Map<string, Frozen<LabelSelector>>>()
  /** Workloads that have not looked for objects without an owner since they changed, or since one appeared. */
  readonly #unsearched = new Set<string>()

  constructor(options: AdoptionOptions<T>) {
    this.#options = options
  }

  workloadSeen({ namespace, name }: ObjectName, selector: Frozen<LabelSelector> | undefined): void {
    const workloads = this.#selectors.get(namespace) ?? new Map<string, Frozen<LabelSelector>>()
    // One that is new may find what was there before it.
    if (!workloads.has(name)) this.#unsearched.add(`${namespace}/${name}`)
    if (selector !== undefined) this.#selectors.set(namespace, workloads.set(name, selector))
  }

  workloadRemoved({ namespace, name }: ObjectName): void {
    const workloads = this.#selectors.get(namespace)
    workloads?.delete(name)
    if (workloads?.size === 0) this.#selectors.delete(namespace)
    this.#unsearched.delete(`${namespace}/${name}`)
  }

  seen(object: Frozen<T>): void {
    const { namespace = '', labels = {} } = object.metadata
    // What belongs to others, which is much, costs no more than this.
    if (!this.#selectors.has(namespace) || !isOrphan(object)) return
    const { fits = () => true } = this.#options
    for (const [name, selector] of this.#selectors.get(namespace) ?? []) {
      if (!selectorMatches(selector, labels) || !fits({ namespace, name }, object)) continue
      this.#unsearched.add(`${namespace}/${name}`)
      this.#options.kick({ namespace, name })
    }
  }

  /** Adopts what has no owner, when there may be something. @param owner whose it becomes */
  async search(
    target: ObjectName,
    selector: Frozen<LabelSelector> | undefined,
    owner: OwnerReference,
  ): Promise<void> {
    const key = `${target.namespace}/${target.name}`
    // Before the look: what comes meanwhile is for another one.
    if (!this.#unsearched.delete(key) || selector === undefined) return
    try {
      await this.#adopt(target, selector, owner)
    } catch (error) {
      this.#unsearched.add(key)
      throw error
    }
  }

  /**
   * Lets go of what does not match any more.
   *
   * @param owned what the workload has, as far as is known
   */
  async release(
    selector: Frozen<LabelSelector> | undefined,
    owner: OwnerReference,
    owned: readonly OwnedObject[],
  ): Promise<void> {
    if (selector === undefined) return
    for (const object of owned) {
      if (selectorMatches(selector, object.labels)) continue
      await unlessAbsent(() => this.#release(object, selector, owner))
    }
  }

  async #release(object: OwnedObject, selector: Frozen<LabelSelector>, owner: OwnerReference): Promise<void> {
    const { client, reference, released } = this.#options
    const present = await client.get(reference, object)
    const { uid, labels = {}, ownerReferences = [], resourceVersion = '' } = present?.metadata ?? {}
    // What is known of it may be older than it is.
    if (present === undefined || uid !== object.uid || selectorMatches(selector, labels)) return
    const left = ownerReferences.filter(each => each.uid !== owner.uid)
    const body = { metadata: { resourceVersion, ownerReferences: left } }
    await client.patch(reference, object, { type: 'merge', body })
    released(present)
  }

  async #adopt(target: ObjectName, selector: Frozen<LabelSelector>, owner: OwnerReference): Promise<void> {
    const { client, reference, adopted, finalizer, fits = () => true } = this.#options
    for (const object of await client.list(reference, target.namespace)) {
      const { uid = '', labels = {}, ownerReferences = [], finalizers = [] } = object.metadata
      if (!isOrphan(object) || !selectorMatches(selector, labels) || !fits(target, object)) continue
      const added = finalizer === undefined || finalizers.includes(finalizer) ? [] : [finalizer]
      const owners = { ownerReferences: [...ownerReferences, { ...owner }] }
      const body = { metadata: { uid, ...owners, finalizers: [...finalizers, ...added] } }
      await unlessAbsent(async () =>
        adopted(await client.patch(reference, nameOf(object), { type: 'merge', body })),
      )
    }
  }
}
