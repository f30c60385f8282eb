/** What a pod demands of its node, worked out once per version of the pod. */
import { POD_LABEL } from '../../../protocol/index.ts'
import {
  type Frozen,
  type NodeSelectorTerm,
  type Pod,
  type PodSpec,
  quantityValue,
  type Toleration,
} from '../apiserver/index.ts'

import { normalizedImage } from './node-images.ts'
import { type PodTerms, podTerms } from './pod-terms.ts'
import { claimNames } from './volume-demand.ts'

/** What scoring takes for a container that requests nothing, so that such containers do not pile up either. */
const ASSUMED_CPU = 100
const ASSUMED_MEMORY = 200 * 1024 * 1024

/** Amounts of resources. */
export interface Resources {
  /** Thousandths of a core. */
  cpu: number
  /** Bytes. */
  memory: number
  /** Everything else by name, in base units. */
  readonly others: Map<string, number>
}

export interface HostPort {
  readonly protocol: string
  readonly port: number
  /** `0.0.0.0` for all addresses. */
  readonly address: string
}

export interface PreferredTerm {
  readonly weight: number
  readonly preference: NodeSelectorTerm
}

export interface PodDemand {
  /** `namespace/name` */
  readonly key: string
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly requests: Resources
  /** Requests with the assumed ones, for scoring. */
  readonly assumedCpu: number
  readonly assumedMemory: number
  readonly hostPorts: readonly HostPort[]
  readonly nodeSelector: readonly (readonly [string, string])[]
  /** Undefined when there is no required node affinity; one of the terms must hold. */
  readonly affinityTerms: Frozen<NodeSelectorTerm[]> | undefined
  readonly tolerations: Frozen<Toleration[]>
  readonly labels: Readonly<Record<string, string>>
  readonly preferredTerms: Frozen<PreferredTerm[]>
  /** Which other pods it wants near, or far. */
  readonly terms: PodTerms
  readonly claims: readonly string[]
  /** Of all of its containers. */
  readonly images: readonly string[]
  readonly priority: number
  /** Whether others may have to go for it. */
  readonly preempts: boolean
  /** Empty when the pod has no group. */
  readonly spreadGroup: string
}

export function emptyResources(): Resources {
  return { cpu: 0, memory: 0, others: new Map() }
}

/** Reads a list of resources in its text form. Amounts that are not quantities count as nothing. */
export function parseResources(list: Readonly<Record<string, string>> | undefined): Resources {
  const resources = emptyResources()
  for (const [name, text] of Object.entries(list ?? {})) {
    const value = quantityValue(text) ?? 0
    if (name === 'cpu') resources.cpu = value * 1000
    else if (name === 'memory') resources.memory = value
    else resources.others.set(name, value)
  }
  return resources
}

export function addResources(to: Resources, amount: Resources, sign: 1 | -1): void {
  to.cpu += sign * amount.cpu
  to.memory += sign * amount.memory
  for (const [name, value] of amount.others) to.others.set(name, (to.others.get(name) ?? 0) + sign * value)
}

function raiseTo(resources: Resources, least: Resources): void {
  resources.cpu = Math.max(resources.cpu, least.cpu)
  resources.memory = Math.max(resources.memory, least.memory)
  for (const [name, value] of least.others) {
    resources.others.set(name, Math.max(resources.others.get(name) ?? 0, value))
  }
}

/**
 * Requests of a pod: the sum of its containers and sidecars, or what its largest init container needs beside the
 * sidecars started before it (Kubernetes "Pod Scheduling: effective requests").
 */
export function podRequests(spec: Frozen<PodSpec>): Resources {
  const total = emptyResources()
  for (const container of spec.containers)
    addResources(total, parseResources(container.resources?.requests), 1)
  const sidecars = emptyResources()
  const init = emptyResources()
  for (const container of spec.initContainers ?? []) {
    const own = parseResources(container.resources?.requests)
    if (container.restartPolicy === 'Always') {
      addResources(total, own, 1)
      addResources(sidecars, own, 1)
      raiseTo(init, sidecars)
    } else {
      addResources(own, sidecars, 1)
      raiseTo(init, own)
    }
  }
  raiseTo(total, init)
  addResources(total, parseResources(spec.overhead), 1)
  return total
}

/** Of containers that run side by side; other init containers are over when the pod's own begin. */
function hostPortsOf(spec: Frozen<PodSpec>): HostPort[] {
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')
  return [...sidecars, ...spec.containers].flatMap(container =>
    (container.ports ?? []).flatMap(({ hostPort = 0, hostIP = '', protocol }) =>
      hostPort === 0 ? [] : [{ protocol, port: hostPort, address: hostIP === '' ? '0.0.0.0' : hostIP }],
    ),
  )
}

/** What keeps pods of one owner apart: their label, or else their controller. */
function spreadGroupOf({ metadata }: Frozen<Pod>): string {
  const label = metadata.labels?.[POD_LABEL.spreadGroup]
  if (label !== undefined) return `${metadata.namespace}/${label}`
  const controller = metadata.ownerReferences?.find(owner => owner.controller === true)
  return controller === undefined ? '' : controller.uid
}

export function podDemand(pod: Frozen<Pod>): PodDemand {
  const { metadata, spec } = pod
  const namespace = metadata.namespace ?? ''
  const requests = podRequests(spec)
  const count = spec.containers.length
  return {
    key: `${namespace}/${metadata.name}`,
    namespace,
    name: metadata.name,
    uid: metadata.uid ?? '',
    requests,
    assumedCpu: requests.cpu === 0 ? ASSUMED_CPU * count : requests.cpu,
    assumedMemory: requests.memory === 0 ? ASSUMED_MEMORY * count : requests.memory,
    hostPorts: hostPortsOf(spec),
    nodeSelector: Object.entries(spec.nodeSelector ?? {}),
    affinityTerms:
      spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms,
    tolerations: spec.tolerations ?? [],
    labels: metadata.labels ?? {},
    preferredTerms: spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [],
    terms: podTerms(pod),
    claims: claimNames(pod),
    images: [...(spec.initContainers ?? []), ...spec.containers].map(({ image = '' }) =>
      normalizedImage(image),
    ),
    priority: spec.priority ?? 0,
    preempts: spec.preemptionPolicy !== 'Never',
    spreadGroup: spreadGroupOf(pod),
  }
}
