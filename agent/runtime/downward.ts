/** What a pod may learn of itself: the downward API. Pure. */
import {
  type Container,
  type Pod,
  parseQuantity,
  type ResourceFieldSelector,
} from '../../protocol/kubernetes/index.ts'
import { runtimeErrors } from './errors.ts'

/** What its host adds to what a pod says of itself. */
export interface PodFacts {
  readonly nodeName: string
  readonly hostIp: string
  /** IPv4 first; empty while it has none. */
  readonly podIps: readonly string[]
  /** What the host has: what a container without limits may use. */
  readonly allocatable: { readonly milliCpu: number; readonly memory: number; readonly storage: number }
}

/** `name="value"` lines, in order of their names. */
function mapText(entries: Readonly<Record<string, string>> | undefined): string {
  return Object.entries(entries ?? {})
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join('\n')
}

function unknownField(pod: Pod, field: string): Error {
  return runtimeErrors.InvalidPod({
    object: `pod ${pod.metadata.name}`,
    message: `the field ${field} has no value`,
  })
}

/** @throws `InvalidPod` for a field that nobody may ask for */
export function fieldValue(fieldPath: string, pod: Pod, facts: PodFacts): string {
  const { metadata, spec } = pod
  const indexed = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(fieldPath)
  if (indexed !== null) {
    return (indexed[1] === 'labels' ? metadata.labels : metadata.annotations)?.[indexed[2] ?? ''] ?? ''
  }
  switch (fieldPath) {
    case 'metadata.name':
      return metadata.name
    case 'metadata.namespace':
      return metadata.namespace ?? ''
    case 'metadata.uid':
      return metadata.uid ?? ''
    case 'metadata.labels':
      return mapText(metadata.labels)
    case 'metadata.annotations':
      return mapText(metadata.annotations)
    case 'spec.nodeName':
      return facts.nodeName
    case 'spec.serviceAccountName':
      return spec.serviceAccountName ?? 'default'
    case 'status.hostIP':
    case 'status.hostIPs':
      return facts.hostIp
    case 'status.podIP':
      return facts.podIps[0] ?? ''
    case 'status.podIPs':
      return facts.podIps.join(',')
    default:
      throw unknownField(pod, fieldPath)
  }
}

/**
 * What a container may use, in units of the divisor, rounded up.
 *
 * @param own the container that asks, where the selector names none
 * @throws `InvalidPod`
 */
export function resourceValue(
  { containerName, resource, divisor = '1' }: ResourceFieldSelector,
  pod: Pod,
  own: Container | undefined,
  { allocatable }: PodFacts,
): string {
  const all = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])]
  const container =
    containerName === undefined || containerName === '' ? own : all.find(({ name }) => name === containerName)
  const [kind, name = ''] = resource.split(/\.(.*)/)
  const unit = parseQuantity(divisor) || 1
  if (container === undefined || (kind !== 'limits' && kind !== 'requests')) throw unknownField(pod, resource)
  const { limits, requests } = container.resources ?? {}
  const text = kind === 'limits' ? limits?.[name] : (requests?.[name] ?? limits?.[name])
  const whole: Readonly<Record<string, number>> = {
    cpu: allocatable.milliCpu / 1000,
    memory: allocatable.memory,
    'ephemeral-storage': allocatable.storage,
  }
  // Without a limit it may use all that there is.
  const value = (text && parseQuantity(text)) || (kind === 'limits' ? (whole[name] ?? 0) : 0)
  // Halves of a thousandth are noise of the division.
  return String(Math.ceil(Math.round((value / unit) * 1e6) / 1e6))
}
