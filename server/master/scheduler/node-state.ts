/** What the scheduler knows of a node, kept up to date with every pod that comes and goes. */
import type { Frozen, Node, Taint } from '../apiserver/index.ts'
import {
  addResources,
  emptyResources,
  type HostPort,
  type PodDemand,
  parseResources,
  type Resources,
} from './pod-demand.ts'

const UNSCHEDULABLE_TAINT: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }
/** Taints that keep pods away; the third effect only makes a node less wanted. */
const REPELLING_EFFECTS = new Set(['NoSchedule', 'NoExecute'])

/** What the Node object says. */
export interface NodeFacts {
  readonly labels: Readonly<Record<string, string>>
  readonly ready: boolean
  readonly unschedulable: boolean
  /** Only those that keep pods away. */
  readonly taints: Frozen<Taint[]>
  /** Only those that make a node less wanted. */
  readonly mildTaints: Frozen<Taint[]>
  readonly allocatable: Resources
  readonly podLimit: number
}

export function nodeFacts({ metadata, spec, status }: Frozen<Node>): NodeFacts {
  const allocatable = parseResources(status.allocatable)
  const podLimit = allocatable.others.get('pods') ?? 0
  allocatable.others.delete('pods')
  return {
    labels: metadata.labels ?? {},
    ready: status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true,
    unschedulable: spec.unschedulable === true,
    taints: (spec.taints ?? []).filter(({ effect }) => REPELLING_EFFECTS.has(effect)),
    mildTaints: (spec.taints ?? []).filter(({ effect }) => effect === 'PreferNoSchedule'),
    allocatable,
    podLimit,
  }
}

/** The taint that stands for `spec.unschedulable`. */
export function unschedulableTaint(): Taint {
  return UNSCHEDULABLE_TAINT
}

function count<Key>(counts: Map<Key, number>, key: Key, change: 1 | -1): void {
  const next = (counts.get(key) ?? 0) + change
  if (next === 0) counts.delete(key)
  else counts.set(key, next)
}

function portKey({ protocol, port }: HostPort): string {
  return `${protocol}/${port}`
}

export class NodeState {
  readonly name: string
  /** Undefined while only pods speak of the node. */
  facts: NodeFacts | undefined
  readonly requested: Resources = emptyResources()
  assumedCpu = 0
  assumedMemory = 0
  readonly #pods = new Map<string, PodDemand>()
  readonly #groups = new Map<string, number>()
  /** Addresses by protocol and port. */
  readonly #ports = new Map<string, Map<string, number>>()

  constructor(name: string) {
    this.name = name
  }

  get podCount(): number {
    return this.#pods.size
  }

  get pods(): Iterable<PodDemand> {
    return this.#pods.values()
  }

  /** The same node, to try something on. */
  copy(): NodeState {
    const copy = new NodeState(this.name)
    copy.facts = this.facts
    for (const pod of this.#pods.values()) copy.add(pod)
    return copy
  }

  /** How many pods of a spread group are here. */
  groupSize(group: string): number {
    return this.#groups.get(group) ?? 0
  }

  /** Whether a port that a pod wants on the host is taken. An address conflicts with all addresses. */
  portTaken(port: HostPort): boolean {
    const addresses = this.#ports.get(portKey(port))
    if (addresses === undefined) return false
    return port.address === '0.0.0.0' || addresses.has('0.0.0.0') || addresses.has(port.address)
  }

  /** Adds a pod, in place of an earlier version of it. */
  add(pod: PodDemand): void {
    this.remove(pod.key)
    this.#pods.set(pod.key, pod)
    this.#account(pod, 1)
  }

  /** @returns whether the pod was here */
  remove(key: string): boolean {
    const present = this.#pods.get(key)
    if (present === undefined) return false
    this.#pods.delete(key)
    this.#account(present, -1)
    return true
  }

  #account(pod: PodDemand, sign: 1 | -1): void {
    addResources(this.requested, pod.requests, sign)
    this.assumedCpu += sign * pod.assumedCpu
    this.assumedMemory += sign * pod.assumedMemory
    if (pod.spreadGroup !== '') count(this.#groups, pod.spreadGroup, sign)
    for (const port of pod.hostPorts) {
      const key = portKey(port)
      const addresses = this.#ports.get(key) ?? new Map<string, number>()
      count(addresses, port.address, sign)
      if (addresses.size === 0) this.#ports.delete(key)
      else this.#ports.set(key, addresses)
    }
  }
}
