/** Daemon sets: a pod on every node that is for them. */
import { isDeepStrictEqual } from 'node:util'
import type { ReconcileResult } from '../../../kit/index.ts'
import {
  DAEMON_SETS,
  type DaemonSet,
  type Draft,
  type EventRecorder,
  type Frozen,
  NODES,
  type Node,
  type ObjectName,
  type Pod,
  type PodTemplateSpec,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import { type Adoption, podAdoption } from './adoption.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { daemonSpec, planDaemonSet } from './daemon-set-plan.ts'
import { nameOf, ObjectLoop } from './object-loop.ts'
import { OwnedPods } from './owned-pods.ts'
import { ownerReferenceTo } from './owner-reference.ts'
import { observePods, PodChanges } from './pod-changes.ts'
import { REVISION_LABEL, RevisionHistory } from './revision-history.ts'
import { writeStatusFields } from './write-status.ts'

const DAEMON_SET = { apiVersion: 'apps/v1', kind: 'DaemonSet' }
/** Longest part of a set's name in the names of its pods. */
const LONGEST_BASE = 57

export interface DaemonSetControllerOptions extends ControllerOptions {
  readonly events: EventRecorder
}

/** What of a node decides whether daemons are on it; nodes report often, and mostly nothing of this. */
function traits({ metadata, spec }: Frozen<Node>): readonly unknown[] {
  return [metadata.labels, spec.taints]
}

export class DaemonSetController implements Controller {
  readonly #options: DaemonSetControllerOptions
  readonly #loop: ObjectLoop
  readonly #pods = new OwnedPods(DAEMON_SET.kind)
  readonly #nodes = new Map<string, Frozen<Node>>()
  readonly #sets = new Map<string, ObjectName>()
  readonly #changes: PodChanges
  readonly #history: RevisionHistory
  readonly #adoption: Adoption<Pod>

  constructor(options: DaemonSetControllerOptions) {
    this.#options = options
    this.#changes = new PodChanges({ ...options, pods: this.#pods })
    this.#loop = new ObjectLoop('daemon sets', options, target => this.#reconcile(target))
    this.#history = new RevisionHistory(options.client, DAEMON_SET)
    const kick = (target: ObjectName) => this.#loop.kick(target)
    this.#adoption = podAdoption({ client: options.client, pods: this.#pods, kick })
  }

  async start(): Promise<void> {
    await this.#loop.observe(NODES, {
      seen: (node, previous) => {
        this.#nodes.set(node.metadata.name, node)
        if (previous === undefined || !isDeepStrictEqual(traits(node), traits(previous))) this.#kickAll()
      },
      removed: node => {
        this.#nodes.delete(node.metadata.name)
        this.#kickAll()
      },
    })
    await this.#history.observe(this.#loop)
    await observePods(this.#loop, this.#pods, pod => this.#adoption.seen(pod))
    await this.#loop.observe(DAEMON_SETS, {
      seen: set => {
        const target = nameOf(set)
        this.#sets.set(`${target.namespace}/${target.name}`, target)
        this.#adoption.workloadSeen(target, set.spec.selector)
        this.#loop.kick(target)
      },
      removed: set => {
        const { namespace, name } = nameOf(set)
        this.#sets.delete(`${namespace}/${name}`)
        this.#adoption.workloadRemoved({ namespace, name })
        this.#history.forget(set.metadata.uid ?? '')
      },
    })
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  #kickAll(): void {
    for (const target of this.#sets.values()) this.#loop.kick(target)
  }

  async #reconcile(target: ObjectName): Promise<ReconcileResult> {
    const { client, clock } = this.#options
    const set = await client.get(DAEMON_SETS, target)
    if (set === undefined || set.metadata.deletionTimestamp !== undefined) return undefined
    const reference = ownerReferenceTo(set, DAEMON_SET)
    const pods = () => this.#pods.of(target).filter(({ owner }) => owner === set.metadata.uid)
    await this.#adoption.search(target, set.spec.selector, reference)
    await this.#adoption.release(set.spec.selector, reference, pods())
    const { hash } = await this.#history.current(set)
    const planned = () => planDaemonSet(set, this.#nodes.values(), pods(), hash, clock.now())
    const plan = planned()
    try {
      await Promise.all(plan.create.map(node => this.#changes.create(set, () => daemonPod(set, node, hash))))
      await Promise.all(plan.remove.map(pod => this.#changes.remove(set, pod)))
    } finally {
      const { status, nextAvailable } = planned()
      await unlessAbsent(() => writeStatusFields(client, DAEMON_SETS, set, status))
      if (nextAvailable !== undefined) this.#loop.kickAfter(target, nextAvailable)
    }
    const used = pods().map(({ labels }) => labels[REVISION_LABEL] ?? '')
    await this.#history.trim(set, new Set([hash, ...used]))
    return plan.create.length > 0 || plan.remove.length > 0 ? { requeueAfter: 0 } : undefined
  }
}

function daemonPod(set: Frozen<DaemonSet>, node: string, hash: string): Draft<Pod> {
  const { template } = set.spec
  const { name, namespace, generation = 1 } = set.metadata
  const metadata = structuredClone(template.metadata as PodTemplateSpec['metadata'])
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...metadata,
      generateName: `${name.slice(0, LONGEST_BASE)}-`,
      ...(namespace === undefined ? {} : { namespace }),
      labels: {
        ...metadata?.labels,
        [REVISION_LABEL]: hash,
        'pod-template-generation': String(generation),
      },
      ownerReferences: [ownerReferenceTo(set, DAEMON_SET)],
    },
    spec: daemonSpec(template, node),
    status: {},
  }
}
