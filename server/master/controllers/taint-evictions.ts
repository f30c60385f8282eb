/**
 * Ends pods that do not tolerate a taint of their node, or have tolerated it long enough (Kubernetes "Taint based
 * Evictions"): pods of a lost host are then made anew elsewhere by whoever owns them.
 */
import {
  disruptionTarget,
  type EventRecorder,
  type Frozen,
  NODES,
  type Node,
  type ObjectName,
  PODS,
  type Pod,
  type Taint,
  type Toleration,
} from '../apiserver/index.ts'
import { tolerates } from '../scheduler/index.ts'
import { unlessAbsent } from './absence.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { nameOf, ObjectLoop } from './object-loop.ts'

export interface TaintEvictionOptions extends ControllerOptions {
  readonly events: EventRecorder
}

function ending({ spec }: Frozen<Node>): readonly Frozen<Taint>[] {
  return (spec.taints ?? []).filter(({ effect }) => effect === 'NoExecute')
}

/**
 * When a pod has to leave its node: milliseconds since 1970; undefined for never.
 *
 * @param now counts for taints that do not say since when they are there
 */
export function leavingTime(
  tolerations: readonly Frozen<Toleration>[],
  taints: readonly Frozen<Taint>[],
  now: number,
): number | undefined {
  let time: number | undefined
  for (const taint of taints) {
    const since = taint.timeAdded === undefined ? now : Date.parse(taint.timeAdded)
    const matching = tolerations.filter(toleration => tolerates(toleration, taint))
    if (matching.length === 0) return now
    const limits = matching.flatMap(({ tolerationSeconds }) => tolerationSeconds ?? [])
    if (limits.length === 0) continue
    const until = since + Math.max(0, Math.min(...limits)) * 1000
    time = Math.min(time ?? until, until)
  }
  return time
}

export class TaintEvictionController implements Controller {
  readonly #options: TaintEvictionOptions
  readonly #loop: ObjectLoop
  /** Of nodes that have some. */
  readonly #taints = new Map<string, readonly Frozen<Taint>[]>()
  readonly #podsOn = new Map<string, Map<string, ObjectName>>()

  constructor(options: TaintEvictionOptions) {
    this.#options = options
    this.#loop = new ObjectLoop('taint evictions', options, async target => {
      await this.#reconcile(target)
      return undefined
    })
  }

  async start(): Promise<void> {
    await this.#loop.observe(NODES, {
      seen: node => this.#nodeSeen(node.metadata.name, ending(node)),
      removed: ({ metadata }) => this.#nodeSeen(metadata.name, []),
    })
    await this.#loop.observe(PODS, {
      seen: (pod, previous) => {
        // A pod is on one node for life, and its tolerations only ever become more.
        if (previous === undefined || previous.spec.nodeName !== pod.spec.nodeName) this.#podSeen(pod)
      },
      removed: ({ metadata, spec }) => {
        const pods = this.#podsOn.get(spec.nodeName ?? '')
        pods?.delete(`${metadata.namespace}/${metadata.name}`)
        if (pods?.size === 0) this.#podsOn.delete(spec.nodeName ?? '')
      },
    })
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  #nodeSeen(name: string, taints: readonly Frozen<Taint>[]): void {
    const before = this.#taints.get(name) ?? []
    if (taints.length === 0) this.#taints.delete(name)
    else this.#taints.set(name, taints)
    if (JSON.stringify(before) === JSON.stringify(taints)) return
    for (const target of this.#podsOn.get(name)?.values() ?? []) this.#loop.kick(target)
  }

  #podSeen(pod: Frozen<Pod>): void {
    const { nodeName = '' } = pod.spec
    if (nodeName === '') return
    const target = nameOf(pod)
    const pods = this.#podsOn.get(nodeName) ?? new Map<string, ObjectName>()
    this.#podsOn.set(nodeName, pods.set(`${target.namespace}/${target.name}`, target))
    if (this.#taints.has(nodeName)) this.#loop.kick(target)
  }

  async #reconcile(target: ObjectName): Promise<void> {
    const { client, clock, events } = this.#options
    const pod = await client.get(PODS, target)
    if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) return
    const taints = this.#taints.get(pod.spec.nodeName ?? '')
    if (taints === undefined) return
    const now = clock.now()
    const time = leavingTime(pod.spec.tolerations ?? [], taints, now)
    if (time === undefined) return
    if (time > now) {
      this.#loop.kickAfter(target, time - now)
      return
    }
    events.record(pod, {
      type: 'Normal',
      reason: 'TaintManagerEviction',
      message: `Marking for deletion Pod ${target.namespace}/${target.name}`,
    })
    const { uid = '' } = pod.metadata
    const why = 'Taint manager: deleting due to NoExecute taint'
    const condition = disruptionTarget('DeletionByTaintManager', why, now)
    await unlessAbsent(() =>
      client.patch(PODS, target, {
        type: 'strategic',
        part: 'status',
        body: { metadata: { uid }, status: { conditions: [condition] } },
      }),
    )
    await unlessAbsent(() => client.delete(PODS, target, { preconditions: { uid } }))
  }
}
