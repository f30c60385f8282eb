/**
 * Whether a pod may go to a node. Each filter gives the reasons why not, in the words of kube-scheduler, which people
 * and tools search for.
 */
import type {
  Frozen,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  Taint,
  Toleration,
} from '../apiserver/index.ts'
import { type NodeFacts, type NodeState, unschedulableTaint } from './node-state.ts'
import type { PodDemand } from './pod-demand.ts'

export function tolerates(toleration: Frozen<Toleration>, taint: Frozen<Taint>): boolean {
  const { key = '', operator = 'Equal', value = '', effect = '' } = toleration
  if (effect !== '' && effect !== taint.effect) return false
  if (key !== '' && key !== taint.key) return false
  // Without a key only `Exists` is allowed, and it means every taint.
  if (operator === 'Exists') return true
  return (operator === 'Equal' || operator === '') && key !== '' && value === (taint.value ?? '')
}

function isTolerated(pod: PodDemand, taint: Frozen<Taint>): boolean {
  return pod.tolerations.some(toleration => tolerates(toleration, taint))
}

function meetsRequirement(
  value: string | undefined,
  { operator, values = [] }: Frozen<NodeSelectorRequirement>,
): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
    case 'Gt':
      return value !== undefined && Number(value) > Number(values[0])
    case 'Lt':
      return value !== undefined && Number(value) < Number(values[0])
    default:
      return false
  }
}

/** Whether all requirements of a term hold; an empty term selects nothing. */
export function meetsTerm(
  term: Frozen<NodeSelectorTerm>,
  name: string,
  labels: NodeFacts['labels'],
): boolean {
  const { matchExpressions = [], matchFields = [] } = term
  if (matchExpressions.length === 0 && matchFields.length === 0) return false
  return (
    matchExpressions.every(requirement => meetsRequirement(labels[requirement.key], requirement)) &&
    matchFields.every(requirement =>
      meetsRequirement(requirement.key === 'metadata.name' ? name : undefined, requirement),
    )
  )
}

/** Whether a pod's own selector and required affinity accept a node. */
export function meetsTerms(pod: PodDemand, name: string, { labels }: NodeFacts): boolean {
  return (
    pod.nodeSelector.every(([key, value]) => labels[key] === value) &&
    (pod.affinityTerms?.some(term => meetsTerm(term, name, labels)) ?? true)
  )
}

function taintReason(pod: PodDemand, { taints }: NodeFacts): string | undefined {
  const taint = taints.find(candidate => !isTolerated(pod, candidate))
  return taint && `node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`
}

function resourceReasons(pod: PodDemand, node: NodeState, { allocatable, podLimit }: NodeFacts): string[] {
  const reasons: string[] = []
  const { requests } = pod
  if (node.podCount + 1 > podLimit) reasons.push('Too many pods')
  if (requests.cpu > 0 && requests.cpu > allocatable.cpu - node.requested.cpu)
    reasons.push('Insufficient cpu')
  if (requests.memory > 0 && requests.memory > allocatable.memory - node.requested.memory) {
    reasons.push('Insufficient memory')
  }
  for (const [name, amount] of requests.others) {
    const free = (allocatable.others.get(name) ?? 0) - (node.requested.others.get(name) ?? 0)
    if (amount > 0 && amount > free) reasons.push(`Insufficient ${name}`)
  }
  return reasons
}

/** Why a pod cannot go to a node; empty when it can. */
export function reasonsAgainst(pod: PodDemand, node: NodeState): readonly string[] {
  const { facts } = node
  if (facts === undefined) return ['node(s) were not found']
  if (facts.unschedulable && !isTolerated(pod, unschedulableTaint())) return ['node(s) were unschedulable']
  const taint = taintReason(pod, facts)
  if (taint !== undefined) return [taint]
  if (!facts.ready) return ['node(s) were not ready']
  if (!meetsTerms(pod, node.name, facts)) return ["node(s) didn't match Pod's node affinity/selector"]
  if (pod.hostPorts.some(port => node.portTaken(port))) {
    return ["node(s) didn't have free ports for the requested pod ports"]
  }
  return resourceReasons(pod, node, facts)
}

/** The message of a pod that fits nowhere: `0/3 nodes are available: 1 Insufficient cpu, 2 Too many pods.` */
export function explainUnschedulable(reasons: ReadonlyMap<string, number>, nodes: number): string {
  if (nodes === 0) return 'no nodes available to schedule pods'
  const texts = [...reasons].map(([reason, count]) => `${count} ${reason}`).sort()
  return `0/${nodes} nodes are available: ${texts.join(', ')}.`
}
