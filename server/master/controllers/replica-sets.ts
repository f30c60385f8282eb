/** Replica sets and replication controllers: so many pods of a template, always. */
import type { ReconcileResult } from '../../../kit/index.ts'
import {
  type Draft,
  type EventRecorder,
  type Frozen,
  type KubernetesObject,
  type ObjectName,
  type OwnerReference,
  PODS,
  type Pod,
  type ReplicaSet,
  StatusError,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { nameOf, ObjectLoop } from './object-loop.ts'
import { type OwnedPod, OwnedPods } from './owned-pods.ts'
import { ownerReferenceTo } from './owner-reference.ts'
import { PodAdoption } from './pod-adoption.ts'
import type { ReplicaKind } from './replica-kinds.ts'
import { planReplicaSet } from './replica-set-plan.ts'
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
  readonly #adoption: PodAdoption

  constructor(options: ReplicaSetControllerOptions<T>) {
    this.#options = options
    this.#loop = new ObjectLoop(options.kind.kind, options, target => this.#reconcile(target))
    this.#pods = new OwnedPods(options.kind.kind)
    const kick = (target: ObjectName) => this.#loop.kick(target)
    this.#adoption = new PodAdoption({ client: options.client, pods: this.#pods, kick })
  }

  async start(): Promise<void> {
    const { reference, asSet } = this.#options.kind
    await this.#loop.observe(PODS, {
      seen: (pod, previous) => {
        for (const owner of this.#pods.put(pod, previous)) this.#loop.kick(owner)
        this.#adoption.podSeen(pod)
      },
      removed: pod => {
        for (const owner of this.#pods.remove(pod)) this.#loop.kick(owner)
      },
    })
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
    await this.#adoption.search(target, set.spec.selector, ownerReferenceTo(set, kind))
    const pods = () => this.#pods.of(target).filter(({ owner }) => owner === set.metadata.uid)
    const plan = planReplicaSet(set, pods(), clock.now())
    try {
      await this.#create(set, plan.create)
      await Promise.all(plan.remove.map(pod => this.#remove(set, pod)))
    } finally {
      const { status, nextAvailable } = planReplicaSet(set, pods(), clock.now())
      await unlessAbsent(() => writeStatusFields(client, kind.reference, set, status))
      if (nextAvailable !== undefined) this.#loop.kickAfter(target, nextAvailable)
    }
    return plan.create > 0 || plan.remove.length > 0 ? { requeueAfter: 0 } : undefined
  }

  /** In growing steps: a template that is refused is not tried hundreds of times. */
  async #create(set: Frozen<ReplicaSet>, count: number): Promise<void> {
    const { client, events, kind } = this.#options
    for (let done = 0, step = 1; done < count; done += step, step *= 2) {
      const size = Math.min(step, count - done)
      await Promise.all(
        Array.from({ length: size }, async () => {
          try {
            const pod = await client.create(PODS, podDraft(set, ownerReferenceTo(set, kind)))
            // The next look must know it, even before it is observed.
            this.#pods.put(pod)
            events.record(set, {
              type: 'Normal',
              reason: 'SuccessfulCreate',
              message: `Created pod: ${pod.metadata.name}`,
            })
          } catch (error) {
            if (error instanceof StatusError) {
              const message = `Error creating: ${error.message}`.slice(0, 1000)
              events.record(set, { type: 'Warning', reason: 'FailedCreate', message })
            }
            throw error
          }
        }),
      )
    }
  }

  async #remove(set: Frozen<ReplicaSet>, pod: OwnedPod): Promise<void> {
    const { client, events } = this.#options
    await unlessAbsent(async () => {
      await client.delete(PODS, pod, { preconditions: { uid: pod.uid } })
      const message = `Deleted pod: ${pod.name}`
      events.record(set, { type: 'Normal', reason: 'SuccessfulDelete', message })
    })
    this.#pods.markDeleting(pod, nameOf(set))
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
