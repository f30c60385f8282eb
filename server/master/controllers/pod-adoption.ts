/** Gives pods without an owner to the workload whose selector they match. */
import {
  type ClusterClient,
  type Frozen,
  isOver,
  type LabelSelector,
  type ObjectName,
  type OwnerReference,
  PODS,
  type Pod,
  selectorMatches,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import { nameOf } from './object-loop.ts'
import { controllerOf, type OwnedPods } from './owned-pods.ts'

export interface PodAdoptionOptions {
  readonly client: ClusterClient
  readonly pods: OwnedPods
  /** Asks for a look at a workload. */
  readonly kick: (target: ObjectName) => void
  /** Whether a workload may have a pod beside its labels; every one unless it is said. */
  readonly fits?: (target: ObjectName, pod: Frozen<Pod>) => boolean
}

/** Whether a pod has no owner and can get one. */
function isOrphan(pod: Frozen<Pod>): boolean {
  const { metadata } = pod
  return (
    !isOver(pod) &&
    metadata.deletionTimestamp === undefined &&
    controllerOf(metadata.ownerReferences) === undefined
  )
}

export class PodAdoption {
  readonly #options: PodAdoptionOptions
  /** Selectors of the workloads of a namespace, by name. */
  readonly #selectors = new Map<string, Map<string, Frozen<LabelSelector>>>()
  /** Workloads that have not looked for pods without an owner since they changed, or since one appeared. */
  readonly #unsearched = new Set<string>()

  constructor(options: PodAdoptionOptions) {
    this.#options = options
  }

  workloadSeen({ namespace, name }: ObjectName, selector: Frozen<LabelSelector> | undefined): void {
    const workloads = this.#selectors.get(namespace) ?? new Map<string, Frozen<LabelSelector>>()
    // One that is new may find pods that were there before it.
    if (!workloads.has(name)) this.#unsearched.add(`${namespace}/${name}`)
    if (selector !== undefined) this.#selectors.set(namespace, workloads.set(name, selector))
  }

  workloadRemoved({ namespace, name }: ObjectName): void {
    const workloads = this.#selectors.get(namespace)
    workloads?.delete(name)
    if (workloads?.size === 0) this.#selectors.delete(namespace)
    this.#unsearched.delete(`${namespace}/${name}`)
  }

  podSeen(pod: Frozen<Pod>): void {
    const { namespace = '', labels = {} } = pod.metadata
    // Pods of other kinds, which are many, cost no more than this.
    if (!this.#selectors.has(namespace) || !isOrphan(pod)) return
    for (const [name, selector] of this.#selectors.get(namespace) ?? []) {
      if (!selectorMatches(selector, labels)) continue
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
    const { client, pods, fits = () => true } = this.#options
    for (const pod of await client.list(PODS, target.namespace)) {
      const { uid = '', labels = {} } = pod.metadata
      if (!isOrphan(pod) || !selectorMatches(selector, labels) || !fits(target, pod)) continue
      const body = { metadata: { uid, ownerReferences: [{ ...owner }] } }
      await unlessAbsent(async () => pods.put(await client.patch(PODS, nameOf(pod), { type: 'merge', body })))
    }
  }
}
