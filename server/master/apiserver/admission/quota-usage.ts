/** What objects of a namespace use of its quotas (Kubernetes "Resource Quotas"). */
import type { Cluster } from '../cluster/index.ts'
import type { Frozen } from '../json.ts'
import { isOver } from '../kinds/index.ts'
import type { KubernetesObject, PersistentVolumeClaim, Pod, ResourceQuota, Service } from '../objects.ts'
import { quantityValue } from '../schema/index.ts'

/** Amounts in base units, by the names that quotas have for them. */
export type Usage = ReadonlyMap<string, number>

/** Kinds that quotas count by a name of their own. */
const COUNTED = new Map([
  ['pods', 'pods'],
  ['services', 'services'],
  ['replicationcontrollers', 'replicationcontrollers'],
  ['resourcequotas', 'resourcequotas'],
  ['secrets', 'secrets'],
  ['configmaps', 'configmaps'],
  ['persistentvolumeclaims', 'persistentvolumeclaims'],
])
const PREFIX = /^(requests|limits)\./
/** Amounts that are told with a binary suffix where they fit one. */
const BYTES = /memory|storage|hugepages/
const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']

/** An amount as a quantity that people read: `2`, `500m`, `1Gi`. */
export function formatAmount(name: string, amount: number): string {
  if (!Number.isInteger(amount)) return `${Math.round(amount * 1000)}m`
  if (!BYTES.test(name) || amount === 0) return String(amount)
  let value = amount
  let suffix = 0
  while (value % 1024 === 0 && suffix < BINARY.length - 1) {
    value /= 1024
    suffix += 1
  }
  return `${value}${BINARY[suffix]}`
}

/** What a pod asks for: the sum of its containers, or the most that one of those before them needs. */
function podAmounts({ spec }: Frozen<Pod>, part: 'requests' | 'limits'): Map<string, number> {
  const sums = new Map<string, number>()
  const amounts = (texts: Frozen<Record<string, string>> | undefined) =>
    Object.entries(texts ?? {}).map(([name, text]) => [name, quantityValue(text) ?? 0] as const)
  for (const { resources } of spec.containers) {
    for (const [name, amount] of amounts(resources?.[part])) sums.set(name, (sums.get(name) ?? 0) + amount)
  }
  for (const { resources } of spec.initContainers ?? []) {
    for (const [name, amount] of amounts(resources?.[part]))
      sums.set(name, Math.max(sums.get(name) ?? 0, amount))
  }
  for (const [name, amount] of amounts(spec.overhead)) sums.set(name, (sums.get(name) ?? 0) + amount)
  return sums
}

function podUsage(pod: Frozen<Pod>): Map<string, number> {
  const usage = new Map<string, number>([['count/pods', 1]])
  if (isOver(pod)) return usage
  usage.set('pods', 1)
  for (const [name, amount] of podAmounts(pod, 'requests')) {
    usage.set(`requests.${name}`, amount)
    if (name === 'cpu' || name === 'memory' || name === 'ephemeral-storage') usage.set(name, amount)
  }
  for (const [name, amount] of podAmounts(pod, 'limits')) usage.set(`limits.${name}`, amount)
  return usage
}

function serviceUsage({ spec }: Frozen<Service>): Map<string, number> {
  const ports = spec.ports?.length ?? 0
  const balancer = spec.type === 'LoadBalancer'
  const withoutPorts = balancer && spec.allocateLoadBalancerNodePorts === false
  return new Map([
    ['services', 1],
    ['count/services', 1],
    ...(balancer ? ([['services.loadbalancers', 1]] as const) : []),
    ...(spec.type === 'NodePort' || (balancer && !withoutPorts)
      ? ([['services.nodeports', ports]] as const)
      : []),
  ])
}

function claimUsage({ spec }: Frozen<PersistentVolumeClaim>): Map<string, number> {
  const storage = quantityValue(spec.resources?.requests?.storage ?? '0') ?? 0
  const usage = new Map([
    ['persistentvolumeclaims', 1],
    ['count/persistentvolumeclaims', 1],
    ['requests.storage', storage],
  ])
  const storageClass = spec.storageClassName ?? ''
  if (storageClass !== '') {
    const prefix = `${storageClass}.storageclass.storage.k8s.io`
    usage.set(`${prefix}/persistentvolumeclaims`, 1)
    usage.set(`${prefix}/requests.storage`, storage)
  }
  return usage
}

/**
 * What one object uses.
 *
 * @param storeKind as objects are kept: `pods`, `apps/deployments`
 */
export function usageOf(storeKind: string, object: Frozen<KubernetesObject>): Usage {
  switch (storeKind) {
    case 'pods':
      return podUsage(object as Frozen<Pod>)
    case 'services':
      return serviceUsage(object as Frozen<Service>)
    case 'persistentvolumeclaims':
      return claimUsage(object as Frozen<PersistentVolumeClaim>)
    default: {
      const [group = '', resource = ''] = storeKind.includes('/') ? storeKind.split('/') : ['', storeKind]
      const counted = COUNTED.get(storeKind)
      const usage = new Map([[group === '' ? `count/${resource}` : `count/${resource}.${group}`, 1]])
      if (counted !== undefined) usage.set(counted, 1)
      return usage
    }
  }
}

/** The kinds whose objects a quota's names are about. */
export function kindsOf(names: Iterable<string>): ReadonlySet<string> {
  const kinds = new Set<string>()
  for (const name of names) {
    const [, counted] = /^count\/(.+)$/.exec(name) ?? []
    if (counted !== undefined) {
      const dot = counted.indexOf('.')
      kinds.add(dot < 0 ? counted : `${counted.slice(dot + 1)}/${counted.slice(0, dot)}`)
    } else if (name.startsWith('services')) kinds.add('services')
    else if (COUNTED.has(name)) kinds.add(COUNTED.get(name) ?? name)
    else if (name.endsWith('requests.storage') || name.includes('.storageclass.'))
      kinds.add('persistentvolumeclaims')
    else if (PREFIX.test(name) || ['cpu', 'memory', 'ephemeral-storage'].includes(name)) kinds.add('pods')
  }
  return kinds
}

interface ScopeRequirement {
  readonly scopeName: string
  readonly operator: string
  readonly values?: readonly string[]
}

const QOS_RESOURCES = ['requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory']

function inScope(pod: Frozen<Pod>, { scopeName, operator, values = [] }: ScopeRequirement): boolean {
  const usage = podUsage(pod)
  const bestEffort = !QOS_RESOURCES.some(name => (usage.get(name) ?? 0) > 0)
  switch (scopeName) {
    case 'BestEffort':
      return bestEffort
    case 'NotBestEffort':
      return !bestEffort
    case 'Terminating':
      return pod.spec.activeDeadlineSeconds !== undefined
    case 'NotTerminating':
      return pod.spec.activeDeadlineSeconds === undefined
    case 'PriorityClass': {
      const name = pod.spec.priorityClassName ?? ''
      if (operator === 'In') return values.includes(name)
      if (operator === 'NotIn') return !values.includes(name)
      return operator === 'DoesNotExist' ? name === '' : name !== ''
    }
    default:
      return false
  }
}

/** Whether a quota is about an object; one with scopes is about some pods only. */
export function covers(
  { spec }: Frozen<ResourceQuota>,
  storeKind: string,
  object: Frozen<KubernetesObject>,
): boolean {
  const { scopes = [], scopeSelector } = spec
  const wanted: readonly ScopeRequirement[] = [
    ...scopes.map(scopeName => ({ scopeName, operator: 'Exists' })),
    ...(scopeSelector?.matchExpressions ?? []),
  ]
  if (wanted.length === 0) return true
  return storeKind === 'pods' && wanted.every(scope => inScope(object as Frozen<Pod>, scope))
}

/** What everything in its namespace uses of a quota: an amount for each of its names. */
export function usageOfQuota(cluster: Cluster, quota: Frozen<ResourceQuota>): Map<string, number> {
  const names = Object.keys(quota.spec.hard ?? {})
  const total = new Map(names.map(name => [name, 0]))
  for (const kind of kindsOf(names)) {
    for (const stored of cluster.list(kind, quota.metadata.namespace)) {
      const object = cluster.read(stored)
      if (!covers(quota, kind, object)) continue
      for (const [name, amount] of usageOf(kind, object)) {
        const before = total.get(name)
        if (before !== undefined) total.set(name, before + amount)
      }
    }
  }
  return total
}
