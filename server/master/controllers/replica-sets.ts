/** Replica sets: so many pods of a template, always. */
import { isDeepStrictEqual } from 'node:util'
import { ReconcileLoop, type ReconcileResult } from '../../../kit/index.ts'
import {
  type Draft,
  type EventRecorder,
  type Frozen,
  PODS,
  type Pod,
  REPLICA_SETS,
  type ReplicaSet,
  StatusError,
  selectorMatches,
} from '../apiserver/index.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { isActive, type OwnedPod, OwnedPods } from './owned-pods.ts'
import { planReplicaSet } from './replica-set-plan.ts'
import { writeStatus } from './write-status.ts'

const API_VERSION = 'apps/v1'
const KIND = 'ReplicaSet'
/** Longest part of an owner's name in the names of its pods. */
const LONGEST_BASE = 57

function isGone(error: unknown): boolean {
  return error instanceof StatusError && error.reason === 'NotFound'
}

export interface ReplicaSetControllerOptions extends ControllerOptions {
  readonly events: EventRecorder
}

export class ReplicaSetController implements Controller {
  readonly #options: ReplicaSetControllerOptions
  readonly #loop: ReconcileLoop
  readonly #pods = new OwnedPods()
  /** Namespace and name by uid. */
  readonly #names = new Map<string, string>()
  readonly #stopObserving: (() => void)[] = []

  constructor(options: ReplicaSetControllerOptions) {
    this.#options = options
    this.#loop = new ReconcileLoop({
      name: 'replica sets',
      reconcile: key => {
        const [namespace = '', name = ''] = key.split('/')
        return this.#reconcile(namespace, name)
      },
      log: options.log,
      clock: options.clock,
    })
  }

  async start(): Promise<void> {
    const { client } = this.#options
    const pod = (object: Frozen<Pod>, previous?: Frozen<Pod>) => {
      for (const owner of this.#pods.put(object, previous)) this.#kick(owner, object.metadata.namespace ?? '')
    }
    const set = ({ metadata }: Frozen<ReplicaSet>) => {
      const key = `${metadata.namespace}/${metadata.name}`
      this.#names.set(metadata.uid ?? '', key)
      this.#loop.kick(key)
    }
    this.#stopObserving.push(
      await client.observe(PODS, {
        sync: pods => {
          for (const object of pods) pod(object)
        },
        changed: pod,
        removed: object => this.#kick(this.#pods.remove(object), ''),
      }),
      await client.observe(REPLICA_SETS, {
        sync: sets => sets.forEach(set),
        changed: set,
        removed: ({ metadata }) => {
          this.#names.delete(metadata.uid ?? '')
        },
      }),
    )
    this.#loop.start()
  }

  async stop(): Promise<void> {
    for (const stop of this.#stopObserving) stop()
    await this.#loop.stop()
  }

  /** @param orphansIn a namespace in which any set may want a pod that has no owner */
  #kick(owner: string, orphansIn: string): void {
    const key = this.#names.get(owner)
    if (key !== undefined) this.#loop.kick(key)
    if (owner !== '' || orphansIn === '') return
    for (const each of this.#names.values()) if (each.startsWith(`${orphansIn}/`)) this.#loop.kick(each)
  }

  async #reconcile(namespace: string, name: string): Promise<ReconcileResult> {
    const { client, clock } = this.#options
    const set = await client.get(REPLICA_SETS, { namespace, name })
    if (set === undefined || set.metadata.deletionTimestamp !== undefined) return undefined
    await this.#adopt(set)
    const owner = set.metadata.uid ?? ''
    const plan = planReplicaSet(set, this.#pods.of(owner), clock.now())
    try {
      await this.#create(set, plan.create)
      await Promise.all(plan.remove.map(pod => this.#remove(set, pod)))
    } finally {
      const { status, nextAvailable } = planReplicaSet(set, this.#pods.of(owner), clock.now())
      await this.#writeStatus(set, status)
      if (nextAvailable !== undefined) this.#loop.kickAfter(`${namespace}/${name}`, nextAvailable)
    }
    const left = plan.create > 0 || plan.remove.length > 0
    return left ? { requeueAfter: 0 } : undefined
  }

  async #adopt(set: Frozen<ReplicaSet>): Promise<void> {
    const { selector } = set.spec
    if (selector === undefined) return
    for (const pod of this.#pods.orphans(set.metadata.namespace ?? '')) {
      if (!isActive(pod) || !selectorMatches(selector, pod.labels)) continue
      const { namespace, name } = pod
      try {
        const adopted = await this.#options.client.patch(
          PODS,
          { namespace, name },
          { type: 'merge', body: { metadata: { uid: pod.uid, ownerReferences: [ownerReference(set)] } } },
        )
        this.#pods.put(adopted, { ...adopted, metadata: { ...adopted.metadata, ownerReferences: [] } })
      } catch (error) {
        if (!(error instanceof StatusError)) throw error
        if (!['NotFound', 'Conflict'].includes(error.reason)) throw error
      }
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
            this.#pods.put(pod, undefined)
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
    const { namespace, name, uid } = pod
    try {
      await this.#options.client.delete(PODS, { namespace, name }, { preconditions: { uid } })
      this.#options.events.record(set, {
        type: 'Normal',
        reason: 'SuccessfulDelete',
        message: `Deleted pod: ${name}`,
      })
    } catch (error) {
      if (!isGone(error)) throw error
    }
    this.#pods.markDeleting(pod)
  }

  async #writeStatus(set: Frozen<ReplicaSet>, next: NonNullable<ReplicaSet['status']>): Promise<void> {
    const { conditions, ...before } = set.status ?? {}
    if (isDeepStrictEqual(before, next)) return
    const status = { ...next, ...(conditions === undefined ? {} : { conditions: [...conditions] }) }
    try {
      await writeStatus(this.#options.client, REPLICA_SETS, set, status)
    } catch (error) {
      if (!isGone(error)) throw error
    }
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
