/** Which nodes have a pod of a daemon set, and when it is replaced (Kubernetes "DaemonSet"). Pure. */
import type { DaemonSet, Frozen, Node, Pod, PodTemplateSpec, Taint, Toleration } from '../apiserver/index.ts'
import { meetsTerm, tolerates } from '../scheduler/index.ts'
import { countOf, positive } from './counts.ts'
import type { OwnedPod } from './owned-pods.ts'
import { untilAvailable } from './replica-set-plan.ts'
import { REVISION_LABEL } from './revision-history.ts'

/** Pods made or removed in one step. */
const BURST = 250

const NODE_FIELD = 'metadata.name'

function tolerated(name: string, effect: string): Toleration {
  return { key: `node.kubernetes.io/${name}`, operator: 'Exists', effect }
}

/** What daemons stand beside what their template says: they belong to their node, in good times and bad. */
const TOLERATIONS = [
  tolerated('not-ready', 'NoExecute'),
  tolerated('unreachable', 'NoExecute'),
  tolerated('disk-pressure', 'NoSchedule'),
  tolerated('memory-pressure', 'NoSchedule'),
  tolerated('pid-pressure', 'NoSchedule'),
  tolerated('unschedulable', 'NoSchedule'),
]
const NETWORK_TOLERATION = tolerated('network-unavailable', 'NoSchedule')

function tolerationsOf({ spec }: Frozen<PodTemplateSpec>): Frozen<Toleration>[] {
  const own = spec.tolerations ?? []
  const added = spec.hostNetwork === true ? [...TOLERATIONS, NETWORK_TOLERATION] : TOLERATIONS
  const key = ({ key: name, operator, value, effect }: Frozen<Toleration>) =>
    `${name} ${operator} ${value ?? ''} ${effect}`
  const present = new Set(own.map(key))
  return [...own, ...added.filter(each => !present.has(key(each)))]
}

/** The specification of the pod for one node: the scheduler has no choice, but a look at its room. */
export function daemonSpec(template: Frozen<PodTemplateSpec>, node: string): Pod['spec'] {
  const spec = structuredClone(template.spec as PodTemplateSpec['spec'])
  const only = { matchFields: [{ key: NODE_FIELD, operator: 'In', values: [node] }] }
  const { nodeAffinity } = spec.affinity ?? {}
  const terms = nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []
  return {
    ...spec,
    tolerations: tolerationsOf(template) as Toleration[],
    affinity: {
      ...spec.affinity,
      nodeAffinity: {
        ...nodeAffinity,
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: terms.length === 0 ? [only] : terms.map(term => ({ ...term, ...only })),
        },
      },
    },
  }
}

export interface Suitability {
  /** Whether the node is to have a pod. */
  readonly runs: boolean
  /** Whether one that is there may stay. */
  readonly stays: boolean
}

/** Whether a node is for the daemon. @param tolerations of its pods, for who asks about many nodes */
export function suitabilityOf(
  template: Frozen<PodTemplateSpec>,
  node: Frozen<Node>,
  tolerations: readonly Frozen<Toleration>[] = tolerationsOf(template),
): Suitability {
  const { spec } = template
  const { name, labels = {} } = node.metadata
  const selected = Object.entries(spec.nodeSelector ?? {}).every(([key, value]) => labels[key] === value)
  const terms = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms
  const attracted = terms?.some(term => meetsTerm(term, name, labels)) ?? true
  if (!selected || !attracted || ((spec.nodeName ?? '') !== '' && spec.nodeName !== name))
    return { runs: false, stays: false }
  const untolerated = (node.spec.taints ?? []).filter(
    taint => !tolerations.some(toleration => tolerates(toleration, taint as Frozen<Taint>)),
  )
  return {
    runs: !untolerated.some(({ effect }) => effect === 'NoSchedule' || effect === 'NoExecute'),
    stays: !untolerated.some(({ effect }) => effect === 'NoExecute'),
  }
}

export interface DaemonSetPlan {
  /** Names of nodes. */
  readonly create: readonly string[]
  readonly remove: readonly OwnedPod[]
  readonly status: NonNullable<DaemonSet['status']>
  /** Milliseconds until a ready pod counts as available; undefined when none waits for that. */
  readonly nextAvailable: number | undefined
}

/** The pods of one node that is to have one. */
interface Place {
  readonly node: string
  readonly updated: OwnedPod | undefined
  readonly outdated: OwnedPod | undefined
}

class Planner {
  readonly #set: Frozen<DaemonSet>
  readonly #hash: string
  readonly #now: number
  readonly create: string[] = []
  readonly remove: OwnedPod[] = []
  readonly places: Place[] = []
  #misplaced = 0

  constructor(set: Frozen<DaemonSet>, hash: string, now: number) {
    this.#set = set
    this.#hash = hash
    this.#now = now
  }

  #isAvailable(pod: OwnedPod): boolean {
    const { minReadySeconds = 0 } = this.#set.spec
    return !pod.deleting && untilAvailable(pod, minReadySeconds, this.#now) === 0
  }

  #isUpdated({ labels }: OwnedPod): boolean {
    return labels[REVISION_LABEL] === this.#hash
  }

  /** Decides for one node; there may be none of this name. */
  node(name: string, { runs, stays }: Suitability, pods: readonly OwnedPod[]): void {
    const live = pods.filter(({ deleting }) => !deleting)
    const ended = live.filter(({ phase }) => phase === 'Failed' || phase === 'Succeeded')
    const rest = live.filter(pod => !ended.includes(pod)).toSorted((a, b) => a.created - b.created)
    this.remove.push(...ended)
    if (!runs) {
      if (rest.length > 0) this.#misplaced += 1
      if (!stays) this.remove.push(...rest)
      return
    }
    const updated = rest.filter(pod => this.#isUpdated(pod))
    const outdated = rest.filter(pod => !this.#isUpdated(pod))
    this.remove.push(...updated.slice(1), ...outdated.slice(1))
    this.places.push({ node: name, updated: updated[0], outdated: outdated[0] })
    // One that is on its way out still has the node.
    if (pods.length === 0) this.create.push(name)
  }

  roll(): void {
    const { type, rollingUpdate } = this.#set.spec.updateStrategy ?? {}
    if (type === 'OnDelete') return
    const surge = countOf(rollingUpdate?.maxSurge, this.places.length, 'up')
    if (surge > 0) this.#rollBySurge(surge)
    else this.#rollByGaps(Math.max(1, countOf(rollingUpdate?.maxUnavailable ?? 1, this.places.length, 'up')))
  }

  #rollByGaps(most: number): void {
    const broken: OwnedPod[] = []
    const working: OwnedPod[] = []
    let gaps = 0
    for (const { updated, outdated } of this.places) {
      if (updated !== undefined || outdated === undefined) {
        if (updated === undefined || !this.#isAvailable(updated)) gaps += 1
      } else if (this.#isAvailable(outdated)) working.push(outdated)
      else {
        broken.push(outdated)
        gaps += 1
      }
    }
    // What does not work anyway is no loss.
    this.remove.push(...broken, ...working.slice(0, Math.max(0, most - gaps)))
  }

  #rollBySurge(most: number): void {
    const waiting: string[] = []
    let surging = 0
    for (const { node, updated, outdated } of this.places) {
      if (outdated === undefined) continue
      if (updated === undefined) {
        if (this.#isAvailable(outdated)) waiting.push(node)
        else this.create.push(node)
      } else if (this.#isAvailable(updated)) this.remove.push(outdated)
      else surging += 1
    }
    this.create.push(...waiting.slice(0, Math.max(0, most - surging)))
  }

  status(): DaemonSetPlan['status'] {
    const shown = this.places.flatMap(({ updated, outdated }) => updated ?? outdated ?? [])
    const available = shown.filter(pod => this.#isAvailable(pod)).length
    const wanted = this.places.length
    return {
      observedGeneration: this.#set.metadata.generation ?? 0,
      currentNumberScheduled: shown.length,
      desiredNumberScheduled: wanted,
      numberMisscheduled: this.#misplaced,
      numberReady: shown.filter(({ readySince }) => readySince !== undefined).length,
      ...positive({
        updatedNumberScheduled: shown.filter(pod => this.#isUpdated(pod)).length,
        numberAvailable: available,
        numberUnavailable: wanted - available,
      }),
    }
  }

  nextAvailable(): number | undefined {
    const { minReadySeconds = 0 } = this.#set.spec
    const pods = this.places.flatMap(({ updated, outdated }) => [updated ?? [], outdated ?? []].flat())
    const waits = pods.flatMap(pod => untilAvailable(pod, minReadySeconds, this.#now) || [])
    return waits.length === 0 ? undefined : Math.min(...waits)
  }
}

/** @param hash of the newest revision */
export function planDaemonSet(
  set: Frozen<DaemonSet>,
  nodes: Iterable<Frozen<Node>>,
  pods: readonly OwnedPod[],
  hash: string,
  now: number,
): DaemonSetPlan {
  const planner = new Planner(set, hash, now)
  const tolerations = tolerationsOf(set.spec.template)
  const byNode = Map.groupBy(pods, ({ destination }) => destination)
  for (const node of nodes) {
    const { name } = node.metadata
    planner.node(name, suitabilityOf(set.spec.template, node, tolerations), byNode.get(name) ?? [])
    byNode.delete(name)
  }
  for (const [name, left] of byNode) planner.node(name, { runs: false, stays: false }, left)
  planner.roll()
  return {
    create: planner.create.slice(0, BURST),
    remove: planner.remove.slice(0, BURST),
    status: planner.status(),
    nextAvailable: planner.nextAvailable(),
  }
}
