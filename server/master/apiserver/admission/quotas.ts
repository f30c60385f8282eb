/** Quotas of a namespace (Kubernetes' ResourceQuota): a new object must fit into what is left. */
import type { Frozen } from '../json.ts'
import type { KubernetesObject, Pod, ResourceQuota } from '../objects.ts'
import { quantityValue } from '../schema/index.ts'
import { forbidden } from '../status.ts'
import { covers, formatAmount, usageOf, usageOfQuota } from './quota-usage.ts'
import type { AdmissionRequest } from './request.ts'

/** What pods must say when a quota limits it. */
const MUST_BE_SAID = new Set([
  'cpu',
  'memory',
  'requests.cpu',
  'requests.memory',
  'limits.cpu',
  'limits.memory',
])

/** The quotas that a new object may be about; empty for almost every namespace. */
export function quotasOf({ cluster, resource, namespace }: AdmissionRequest): Frozen<ResourceQuota>[] {
  if (!resource.namespaced) return []
  return cluster
    .list('resourcequotas', namespace)
    .map(stored => cluster.read(stored) as Frozen<ResourceQuota>)
}

function told(amounts: readonly (readonly [string, number])[]): string {
  return amounts
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, amount]) => `${name}=${formatAmount(name, amount)}`)
    .join(',')
}

/** Resources that containers of a pod leave open though the quota limits them, by container. */
function unsaid(pod: Frozen<Pod>, names: readonly string[]): string | undefined {
  const missing = new Map<string, string[]>()
  for (const name of names.filter(each => MUST_BE_SAID.has(each))) {
    const [part, resource] = name.includes('.') ? name.split('.') : ['requests', name]
    for (const { name: container, resources } of pod.spec.containers) {
      const amounts = part === 'limits' ? resources?.limits : resources?.requests
      if (amounts?.[resource ?? ''] !== undefined) continue
      missing.set(name, [...(missing.get(name) ?? []), container])
    }
  }
  if (missing.size === 0) return undefined
  return [...missing]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, containers]) => `${name} for: ${containers.join(',')}`)
    .join('; ')
}

/**
 * Compares a new object with the quotas of its namespace. The caller lets nothing else be made there meanwhile.
 *
 * @throws `Forbidden` naming the first quota that has no room
 */
export function requireWithinQuotas(
  request: AdmissionRequest,
  quotas: readonly Frozen<ResourceQuota>[],
  object: Frozen<KubernetesObject>,
): void {
  const { cluster, resource } = request
  const kind = resource.kept.storeKind
  const refuse = (why: string) => forbidden(resource, object.metadata.name ?? '', why)
  for (const quota of quotas) {
    if (!covers(quota, kind, object)) continue
    const hard = quota.spec.hard ?? {}
    const wanted = [...usageOf(kind, object)].filter(
      ([name, amount]) => hard[name] !== undefined && amount > 0,
    )
    if (kind === 'pods') {
      const open = unsaid(object as Frozen<Pod>, Object.keys(hard))
      if (open !== undefined) throw refuse(`failed quota: ${quota.metadata.name}: must specify ${open}`)
    }
    if (wanted.length === 0) continue
    const used = usageOfQuota(cluster, quota)
    const exceeded = wanted.filter(
      ([name, amount]) => (used.get(name) ?? 0) + amount > (quantityValue(hard[name] ?? '') ?? 0) + 1e-9,
    )
    if (exceeded.length === 0) continue
    const requested = told(exceeded)
    const present = told(exceeded.map(([name]) => [name, used.get(name) ?? 0] as const))
    const limited = exceeded
      .map(([name]) => `${name}=${hard[name] ?? ''}`)
      .toSorted()
      .join(',')
    throw refuse(
      `exceeded quota: ${quota.metadata.name}, requested: ${requested}, used: ${present}, limited: ${limited}`,
    )
  }
}
