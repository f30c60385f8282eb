/** Removes pods that nobody else ends: those of nodes that are gone, and ended ones when there are too many. */
import { ReconcileLoop } from '../../../kit/index.ts'
import { type Frozen, isOver, NODES, PODS, type Pod } from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { nameOf } from './object-loop.ts'

/** Milliseconds that a node may be missing: it may only be registering itself anew. */
const QUARANTINE = 40_000
/** Ended pods that may stay in a cluster (kube-controller-manager's terminated-pod-gc-threshold). */
const MOST_ENDED = 12_500
/** A key of the loop; no node has this name. */
const ENDED = '.ended'

/** The ended pods that have to go, the oldest first. */
export function surplusPods(pods: readonly Frozen<Pod>[], most: number): readonly Frozen<Pod>[] {
  const ended = pods.filter(isOver)
  const age = ({ metadata }: Frozen<Pod>) => metadata.creationTimestamp ?? ''
  return ended.toSorted((a, b) => (age(a) < age(b) ? -1 : 1)).slice(0, Math.max(0, ended.length - most))
}

export class PodCollector implements Controller {
  readonly #client: ControllerOptions['client']
  readonly #loop: ReconcileLoop
  readonly #nodes = new Set<string>()
  /** Uids. */
  readonly #ended = new Set<string>()
  readonly #stopObserving: (() => void)[] = []

  constructor({ client, clock, log }: ControllerOptions) {
    this.#client = client
    this.#loop = new ReconcileLoop({
      name: 'pod collector',
      reconcile: async key => {
        if (key === ENDED) await this.#collectEnded()
        else await this.#collectLost(key)
        return undefined
      },
      log,
      clock,
    })
  }

  async start(): Promise<void> {
    this.#stopObserving.push(
      await this.#client.observe(NODES, {
        sync: nodes => {
          for (const { metadata } of nodes) this.#nodes.add(metadata.name)
        },
        changed: ({ metadata }) => this.#nodes.add(metadata.name),
        removed: ({ metadata }) => {
          this.#nodes.delete(metadata.name)
          this.#loop.kickAfter(metadata.name, QUARANTINE)
        },
      }),
      await this.#client.observe(PODS, {
        sync: pods => {
          for (const pod of pods) this.#seen(pod)
        },
        changed: pod => this.#seen(pod),
        removed: ({ metadata }) => this.#ended.delete(metadata.uid ?? ''),
      }),
    )
    this.#loop.start()
  }

  async stop(): Promise<void> {
    for (const stop of this.#stopObserving) stop()
    await this.#loop.stop()
  }

  #seen(pod: Frozen<Pod>): void {
    const { nodeName = '' } = pod.spec
    if (nodeName !== '' && !this.#nodes.has(nodeName)) this.#loop.kickAfter(nodeName, QUARANTINE)
    if (!isOver(pod)) return
    this.#ended.add(pod.metadata.uid ?? '')
    if (this.#ended.size > MOST_ENDED) this.#loop.kick(ENDED)
  }

  async #collectEnded(): Promise<void> {
    for (const pod of surplusPods(await this.#client.list(PODS), MOST_ENDED)) await this.#remove(pod)
  }

  async #collectLost(node: string): Promise<void> {
    if ((await this.#client.get(NODES, { namespace: '', name: node })) !== undefined) return
    const pods = await this.#client.list(PODS)
    for (const pod of pods.filter(({ spec }) => spec.nodeName === node)) {
      if (!isOver(pod)) await this.#markLost(pod)
      await this.#remove(pod)
    }
  }

  /** Whoever counts pods is to see that it did not end well. */
  async #markLost(pod: Frozen<Pod>): Promise<void> {
    const condition = {
      type: 'DisruptionTarget',
      status: 'True',
      reason: 'DeletionByPodGC',
      message: 'PodGC: node no longer exists',
    }
    await unlessAbsent(() =>
      this.#client.patch(PODS, nameOf(pod), {
        type: 'strategic',
        part: 'status',
        body: { status: { phase: 'Failed', conditions: [condition] } },
      }),
    )
  }

  async #remove({ metadata }: Frozen<Pod>): Promise<void> {
    const { namespace = '', name, uid = '' } = metadata
    await unlessAbsent(() =>
      this.#client.delete(PODS, { namespace, name }, { gracePeriodSeconds: 0, preconditions: { uid } }),
    )
  }
}
