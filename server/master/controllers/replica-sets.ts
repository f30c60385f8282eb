/** Replica sets and replication controllers: so many pods of a template, always. */
import type { ReconcileResult } from '../../../kit/index.ts'
import type {
  Draft,
  EventRecorder,
  Frozen,
  KubernetesObject,
  ObjectName,
  OwnerReference,
  Pod,
  ReplicaSet,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import { type Adoption, podAdoption } from './adoption.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { nameOf, ObjectLoop } from './object-loop.ts'
import { OwnedPods } from './owned-pods.ts'
import { ownerReferenceTo } from './owner-reference.ts'
import { observePods, PodChanges } from './pod-changes.ts'
import type { ReplicaKind } from './replica-kinds.ts'
import { conditionsAfter, planReplicaSet } from './replica-set-plan.ts'
import { writeStatusFields } from './write-status.ts'

/** Longest part of an owner's name in the names of its pods. */
const LONGEST_BASE = 57

export interface ReplicaSetControllerOptions<T extends KubernetesObject> extends ControllerOptions {
  readonly events: EventRecorder
  readonly kind: ReplicaKind<T>
}

export class ReplicaSetController<T extends KubernetesObject> implements Controller {
  readonly #options: ReplicaSetControllerOptions<T>
  readonly #loop: ObjectLoop
  readonly #pods: OwnedPods
  readonly #changes: PodChanges
  readonly #adoption: Adoption<Pod>

  constructor(options: ReplicaSetControllerOptions<T>) {
    this.#options = options
    this.#loop = new ObjectLoop(options.kind.kind, options, target => this.#reconcile(target))
    this.#pods = new OwnedPods(options.kind.kind)
    this.#changes = new PodChanges({ ...options, pods: this.#pods })
    const kick = (target: ObjectName) => this.#loop.kick(target)
    this.#adoption = podAdoption({ client: options.client, pods: this.#pods, kick })
  }

  async start(): Promise<void> {
    const { reference, asSet } = this.#options.kind
    await observePods(this.#loop, this.#pods, pod => this.#adoption.seen(pod))
    await this.#loop.observe(reference, {
      seen: object => {
        this.#adoption.workloadSeen(nameOf(object), asSet(object).spec.selector)
        this.#loop.kick(nameOf(object))
      },
      removed: object => this.#adoption.workloadRemoved(nameOf(object)),
    })
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  async #reconcile(target: ObjectName): Promise<ReconcileResult> {
    const { client, clock, kind } = this.#options
    const object = await client.get(kind.reference, target)
    if (object === undefined || object.metadata.deletionTimestamp !== undefined) return undefined
    const set = kind.asSet(object)
    const owner = ownerReferenceTo(set, kind)
    const pods = () => this.#pods.of(target).filter(pod => pod.owner === set.metadata.uid)
    await this.#adoption.search(target, set.spec.selector, owner)
    await this.#adoption.release(set.spec.selector, owner, pods())
    const plan = planReplicaSet(set, pods(), clock.now())
    let failure: unknown
    try {
      await this.#create(set, plan.create)
      await Promise.all(plan.remove.map(pod => this.#changes.remove(set, pod)))
    } catch (error) {
      failure = error
      throw error
    } finally {
      const { status, nextAvailable } = planReplicaSet(set, pods(), clock.now())
      const conditions = conditionsAfter(set.status?.conditions ?? [], failure, clock.now())
      await unlessAbsent(() => writeStatusFields(client, kind.reference, set, status, conditions))
      if (nextAvailable !== undefined) this.#loop.kickAfter(target, nextAvailable)
    }
    return plan.create > 0 || plan.remove.length > 0 ? { requeueAfter: 0 } : undefined
  }

  /** In growing steps: a template that is refused is not tried hundreds of times. */
  async #create(set: Frozen<ReplicaSet>, count: number): Promise<void> {
    const { kind } = this.#options
    const create = () => this.#changes.create(set, () => podDraft(set, ownerReferenceTo(set, kind)))
    for (let done = 0, step = 1; done < count; done += step, step *= 2) {
      await Promise.all(Array.from({ length: Math.min(step, count - done) }, create))
    }
  }
}

function podDraft(set: Frozen<ReplicaSet>, owner: OwnerReference): Draft<Pod> {
  const { metadata, spec } = structuredClone(set.spec.template as ReplicaSet['spec']['template'])
  const { name, namespace } = set.metadata
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...metadata,
      generateName: `${name.slice(0, LONGEST_BASE)}-`,
      ...(namespace === undefined ? {} : { namespace }),
      ownerReferences: [owner],
    },
    spec,
    status: {},
  }
}
