/** Replica sets: so many pods of a template, always. */
import { isDeepStrictEqual } from 'node:util'
import type { ReconcileResult } from '../../../kit/index.ts'
import {
  type Draft,
  type EventRecorder,
  type Frozen,
  type ObjectName,
  PODS,
  type Pod,
  REPLICA_SETS,
  type ReplicaSet,
  StatusError,
  selectorMatches,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { nameOf, ObjectLoop } from './object-loop.ts'
import { controllerOf, type OwnedPod, OwnedPods } from './owned-pods.ts'
import { planReplicaSet } from './replica-set-plan.ts'
import { writeStatus } from './write-status.ts'

const API_VERSION = 'apps/v1'
const KIND = 'ReplicaSet'
/** Longest part of an owner's name in the names of its pods. */
const LONGEST_BASE = 57

type Selector = NonNullable<Frozen<ReplicaSet>['spec']['selector']>

export interface ReplicaSetControllerOptions extends ControllerOptions {
  readonly events: EventRecorder
}

/** Whether a pod has no owner and can get one. */
function isOrphan({ metadata, status }: Frozen<Pod>): boolean {
  const ended = status.phase === 'Succeeded' || status.phase === 'Failed'
  return (
    !ended && metadata.deletionTimestamp === undefined && controllerOf(metadata.ownerReferences) === undefined
  )
}

export class ReplicaSetController implements Controller {
  readonly #options: ReplicaSetControllerOptions
  readonly #loop: ObjectLoop
  readonly #pods = new OwnedPods(KIND)
  /** Selectors of the sets of a namespace, by name. */
  readonly #selectors = new Map<string, Map<string, Selector>>()
  /** Namespaces of sets that have not looked for pods without an owner since they changed. */
  readonly #unsearched = new Set<string>()

  constructor(options: ReplicaSetControllerOptions) {
    this.#options = options
    this.#loop = new ObjectLoop('replica sets', options, target => this.#reconcile(target))
  }

  async start(): Promise<void> {
    await this.#loop.observe(PODS, {
      seen: (pod, previous) => this.#podSeen(pod, previous),
      removed: pod => {
        for (const owner of this.#pods.remove(pod)) this.#loop.kick(owner)
      },
    })
    await this.#loop.observe(REPLICA_SETS, {
      seen: set => {
        const { namespace, name } = nameOf(set)
        const sets = this.#selectors.get(namespace) ?? new Map<string, Selector>()
        // A set that is new may find pods that were there before it.
        if (!sets.has(name)) this.#unsearched.add(`${namespace}/${name}`)
        if (set.spec.selector !== undefined) this.#selectors.set(namespace, sets.set(name, set.spec.selector))
        this.#loop.kick({ namespace, name })
      },
      removed: set => {
        const { namespace, name } = nameOf(set)
        const sets = this.#selectors.get(namespace)
        sets?.delete(name)
        if (sets?.size === 0) this.#selectors.delete(namespace)
        this.#unsearched.delete(`${namespace}/${name}`)
      },
    })
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  #podSeen(pod: Frozen<Pod>, previous: Frozen<Pod> | undefined): void {
    for (const owner of this.#pods.put(pod, previous)) this.#loop.kick(owner)
    const { namespace = '', labels = {} } = pod.metadata
    // Pods of other kinds, which are many, cost no more than this.
    if (!this.#selectors.has(namespace) || !isOrphan(pod)) return
    for (const [name, selector] of this.#selectors.get(namespace) ?? []) {
      if (!selectorMatches(selector, labels)) continue
      this.#unsearched.add(`${namespace}/${name}`)
      this.#loop.kick({ namespace, name })
    }
  }

  async #reconcile(target: ObjectName): Promise<ReconcileResult> {
    const { client, clock } = this.#options
    const set = await client.get(REPLICA_SETS, target)
    if (set === undefined || set.metadata.deletionTimestamp !== undefined) return undefined
    await this.#search(set)
    const pods = () => this.#pods.of(target).filter(({ owner }) => owner === set.metadata.uid)
    const plan = planReplicaSet(set, pods(), clock.now())
    try {
      await this.#create(set, plan.create)
      await Promise.all(plan.remove.map(pod => this.#remove(set, pod)))
    } finally {
      const { status, nextAvailable } = planReplicaSet(set, pods(), clock.now())
      await this.#writeStatus(set, status)
      if (nextAvailable !== undefined) this.#loop.kickAfter(target, nextAvailable)
    }
    return plan.create > 0 || plan.remove.length > 0 ? { requeueAfter: 0 } : undefined
  }

  /** Adopts what has no owner, when there may be something. */
  async #search(set: Frozen<ReplicaSet>): Promise<void> {
    const key = `${set.metadata.namespace}/${set.metadata.name}`
    // Before the look: what comes meanwhile is for another one.
    if (!this.#unsearched.delete(key)) return
    try {
      await this.#adopt(set)
    } catch (error) {
      this.#unsearched.add(key)
      throw error
    }
  }

  async #adopt(set: Frozen<ReplicaSet>): Promise<void> {
    const { client } = this.#options
    const { selector } = set.spec
    if (selector === undefined) return
    const pods = await client.list(PODS, set.metadata.namespace)
    for (const pod of pods) {
      const { uid = '', labels = {} } = pod.metadata
      if (!isOrphan(pod) || !selectorMatches(selector, labels)) continue
      const body = { metadata: { uid, ownerReferences: [ownerReference(set)] } }
      await unlessAbsent(async () =>
        this.#pods.put(await client.patch(PODS, nameOf(pod), { type: 'merge', body })),
      )
    }
  }

  /** In growing steps: a template that is refused is not tried hundreds of times. */
  async #create(set: Frozen<ReplicaSet>, count: number): Promise<void> {
    const { client, events } = this.#options
    for (let done = 0, step = 1; done < count; done += step, step *= 2) {
      const size = Math.min(step, count - done)
      await Promise.all(
        Array.from({ length: size }, async () => {
          try {
            const pod = await client.create(PODS, podDraft(set))
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

  async #writeStatus(set: Frozen<ReplicaSet>, next: NonNullable<ReplicaSet['status']>): Promise<void> {
    const { conditions, ...before } = set.status ?? {}
    if (isDeepStrictEqual(before, next)) return
    const status = { ...next, ...(conditions === undefined ? {} : { conditions: [...conditions] }) }
    await unlessAbsent(() => writeStatus(this.#options.client, REPLICA_SETS, set, status))
  }
}

function ownerReference({ metadata }: Frozen<ReplicaSet>) {
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    name: metadata.name,
    uid: metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  }
}

function podDraft(set: Frozen<ReplicaSet>): Draft<Pod> {
  const { metadata, spec } = structuredClone(set.spec.template as ReplicaSet['spec']['template'])
  const { name, namespace } = set.metadata
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...metadata,
      generateName: `${name.slice(0, LONGEST_BASE)}-`,
      ...(namespace === undefined ? {} : { namespace }),
      ownerReferences: [ownerReference(set)],
    },
    spec,
    status: {},
  }
}
