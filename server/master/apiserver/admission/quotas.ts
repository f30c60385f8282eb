/** Quotas of a namespace (Kubernetes' ResourceQuota): what a new object takes, or a change takes more, must be left. */
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

/** The quotas that an object may be about; empty for almost every namespace. */
export function quotasOf({ cluster, resource, namespace }: AdmissionRequest): Frozen<ResourceQuota>[] {
  if (!resource.namespaced) return []
  return cluster
    .list('resourcequotas', namespace)
    .map(stored => cluster.read(stored) as Frozen<ResourceQuota>)
}

/** Amounts by the names that quotas have for them. */
type Amounts = readonly (readonly [string, number])[]

function told(amounts: Amounts): string {
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

/** What a new object, or the change of one, takes of a quota: by the names that it limits. */
function demandOn(
  quota: Frozen<ResourceQuota>,
  kind: string,
  object: Frozen<KubernetesObject>,
  old: Frozen<KubernetesObject> | undefined,
): Amounts {
  if (!covers(quota, kind, object)) return []
  const hard = quota.spec.hard ?? {}
  const before = old !== undefined && covers(quota, kind, old) ? usageOf(kind, old) : undefined
  return [...usageOf(kind, object)]
    .map(([name, amount]) => [name, amount - (before?.get(name) ?? 0)] as const)
    .filter(([name, amount]) => hard[name] !== undefined && amount > 0)
}

/** Whether a change of an object takes more of some quota than the object did. */
export function growsWithinQuotas(
  { resource }: AdmissionRequest,
  quotas: readonly Frozen<ResourceQuota>[],
  object: Frozen<KubernetesObject>,
  old: Frozen<KubernetesObject>,
): boolean {
  return quotas.some(quota => demandOn(quota, resource.kept.storeKind, object, old).length > 0)
}

/**
 * Compares an object with the quotas of its namespace. The caller lets nothing else be made or grow there meanwhile.
 *
 * @param old what a change replaces; undefined for a new object
 * @throws `Forbidden` naming the first quota that has no room
 */
export function requireWithinQuotas(
  request: AdmissionRequest,
  quotas: readonly Frozen<ResourceQuota>[],
  object: Frozen<KubernetesObject>,
  old: Frozen<KubernetesObject> | undefined,
): void {
  const { cluster, resource } = request
  const kind = resource.kept.storeKind
  const refuse = (why: string) => forbidden(resource, object.metadata.name ?? '', why)
  for (const quota of quotas) {
    const hard = quota.spec.hard ?? {}
    if (kind === 'pods' && old === undefined && covers(quota, kind, object)) {
      const open = unsaid(object as Frozen<Pod>, Object.keys(hard))
      if (open !== undefined) throw refuse(`failed quota: ${quota.metadata.name}: must specify ${open}`)
    }
    const wanted = demandOn(quota, kind, object, old)
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
