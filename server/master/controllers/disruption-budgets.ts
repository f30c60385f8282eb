/** Disruption budgets: how many pods may be evicted now. */
import { isDeepStrictEqual } from 'node:util'
import type { ReconcileResult } from '../../../kit/index.ts'
import {
  DEPLOYMENTS,
  DISRUPTION_BUDGETS,
  type Frozen,
  formatTime,
  type LabelSelector,
  type ObjectName,
  type OwnerReference,
  PODS,
  type Pod,
  type PodDisruptionBudget,
  REPLICA_SETS,
  REPLICATION_CONTROLLERS,
  type ResourceReference,
  STATEFUL_SETS,
  selectorMatches,
  type Workload,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { planBudget } from './disruption-plan.ts'
import { nameOf, ObjectLoop } from './object-loop.ts'
import { controllerOf } from './owned-pods.ts'
import { Pace } from './pace.ts'
import { writeStatus } from './write-status.ts'

/** Milliseconds for which changes of pods are collected. */
const COLLECT = 20

/** Kinds that say how many pods there should be, by their name in owner references. */
const OWNERS = new Map<string, ResourceReference>([
  ['apps/v1/ReplicaSet', REPLICA_SETS],
  ['apps/v1/StatefulSet', STATEFUL_SETS],
  ['apps/v1/Deployment', DEPLOYMENTS],
  ['v1/ReplicationController', REPLICATION_CONTROLLERS],
])

export class DisruptionController implements Controller {
  readonly #options: ControllerOptions
  readonly #loop: ObjectLoop
  readonly #pace = new Pace(COLLECT)
  /** Selectors of budgets by namespace, then by name. */
  readonly #selectors = new Map<string, Map<string, Frozen<LabelSelector>>>()

  constructor(options: ControllerOptions) {
    this.#options = options
    this.#loop = new ObjectLoop('disruption budgets', options, target =>
      this.#pace.measure(() => this.#reconcile(target)),
    )
  }

  async start(): Promise<void> {
    await this.#loop.observe(DISRUPTION_BUDGETS, {
      seen: budget => {
        const { namespace, name } = nameOf(budget)
        const budgets = this.#selectors.get(namespace) ?? new Map<string, Frozen<LabelSelector>>()
        this.#selectors.set(namespace, budgets.set(name, budget.spec.selector ?? {}))
        this.#loop.kick({ namespace, name })
      },
      removed: budget => {
        const { namespace, name } = nameOf(budget)
        const budgets = this.#selectors.get(namespace)
        budgets?.delete(name)
        if (budgets?.size === 0) this.#selectors.delete(namespace)
      },
    })
    await this.#loop.observe(PODS, {
      seen: (pod, previous) => {
        this.#podSeen(pod)
        if (previous !== undefined) this.#podSeen(previous)
      },
      removed: pod => this.#podSeen(pod),
    })
    for (const reference of OWNERS.values()) {
      await this.#loop.observe(reference, {
        seen: (owner, previous) => {
          const replicas = (object: typeof owner | undefined) =>
            (object?.spec as Frozen<Workload>['spec'])?.replicas
          if (previous === undefined || replicas(owner) === replicas(previous)) return
          const { namespace } = nameOf(owner)
          for (const name of this.#selectors.get(namespace)?.keys() ?? [])
            this.#loop.kick({ namespace, name })
        },
        removed: () => undefined,
      })
    }
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  #podSeen({ metadata: { namespace = '', labels = {} } }: Frozen<Pod>): void {
    for (const [name, selector] of this.#selectors.get(namespace) ?? []) {
      if (selectorMatches(selector, labels)) this.#loop.kickAfter({ namespace, name }, this.#pace.wait)
    }
  }

  async #reconcile(target: ObjectName): Promise<ReconcileResult> {
    const { client, clock } = this.#options
    const budget = await client.get(DISRUPTION_BUDGETS, target)
    if (budget === undefined) return undefined
    const selector = budget.spec.selector ?? {}
    const pods = (await client.list(PODS, target.namespace)).filter(({ metadata }) =>
      selectorMatches(selector, metadata.labels ?? {}),
    )
    const now = clock.now()
    const expected = await this.#expected(target.namespace, pods)
    const { status, lookAt } = planBudget({ budget, pods, expected }, now, formatTime(now))
    if (!isDeepStrictEqual(budget.status, status)) await this.#write(budget, status)
    return lookAt === undefined ? undefined : { requeueAfter: Math.max(1, lookAt - now) }
  }

  /** With the version that was looked at: an eviction that is allowed meanwhile must not be lost. */
  async #write(
    budget: Frozen<PodDisruptionBudget>,
    status: NonNullable<PodDisruptionBudget['status']>,
  ): Promise<void> {
    const { resourceVersion = '' } = budget.metadata
    await unlessAbsent(() =>
      writeStatus(this.#options.client, DISRUPTION_BUDGETS, budget, status, resourceVersion),
    )
  }

  /** How many pods their owners want together; undefined when one has no owner that says. */
  async #expected(namespace: string, pods: readonly Frozen<Pod>[]): Promise<number | undefined> {
    const counts = new Map<string, number>()
    const known = new Set<string>()
    for (const { metadata } of pods) {
      const reference = controllerOf(metadata.ownerReferences)
      if (reference === undefined) return undefined
      if (known.has(reference.uid)) continue
      known.add(reference.uid)
      const owner = await this.#topOwner(namespace, reference)
      if (owner === undefined) return undefined
      counts.set(owner.metadata.uid ?? '', owner.spec.replicas ?? 1)
    }
    return [...counts.values()].reduce((sum, count) => sum + count, 0)
  }

  /** The owner of an owner, if it has one: while a deployment rolls, its sets together want more than it does. */
  async #topOwner(
    namespace: string,
    { apiVersion, kind, name, uid }: Frozen<OwnerReference>,
  ): Promise<Frozen<Workload> | undefined> {
    const reference = OWNERS.get(`${apiVersion}/${kind}`)
    const found = reference && (await this.#options.client.get(reference, { namespace, name }))
    if (found === undefined || found.metadata.uid !== uid) return undefined
    const above = controllerOf(found.metadata.ownerReferences)
    const top = above && (await this.#topOwner(namespace, above))
    return top ?? (found as unknown as Frozen<Workload>)
  }
}
