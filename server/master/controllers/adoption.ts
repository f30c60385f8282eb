/** Gives objects without an owner to the workload whose selector they match. */
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

export interface AdoptionOptions<T extends KubernetesObject> {
  readonly client: ClusterClient
  /** What is adopted. */
  readonly reference: ResourceReference<T>
  /** Told of each that has got its owner, before anybody observes it. */
  readonly adopted: (object: Frozen<T>) => void
  /** Asks for a look at a workload. */
  readonly kick: (target: ObjectName) => void
  /** Whether a workload may have an object beside its labels; every one unless it is said. */
  readonly fits?: (target: ObjectName, object: Frozen<T>) => boolean
}

export interface PodAdoptionOptions extends Pick<AdoptionOptions<Pod>, 'client' | 'kick' | 'fits'> {
  readonly pods: OwnedPods
}

/** For workloads that have pods. */
export function podAdoption({ pods, fits = () => true, ...rest }: PodAdoptionOptions): Adoption<Pod> {
  return new Adoption({
    ...rest,
    reference: PODS,
    adopted: pod => pods.put(pod),
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

  async #adopt(target: ObjectName, selector: Frozen<LabelSelector>, owner: OwnerReference): Promise<void> {
    const { client, reference, adopted, fits = () => true } = this.#options
    for (const object of await client.list(reference, target.namespace)) {
      const { uid = '', labels = {}, ownerReferences = [] } = object.metadata
      if (!isOrphan(object) || !selectorMatches(selector, labels) || !fits(target, object)) continue
      const body = { metadata: { uid, ownerReferences: [...ownerReferences, { ...owner }] } }
      await unlessAbsent(async () =>
        adopted(await client.patch(reference, nameOf(object), { type: 'merge', body })),
      )
    }
  }
}
