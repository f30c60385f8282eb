/** Which ports of the host a pod takes, and whether others have them already. Pure. */
import { type ContainerPort, isStatic, type Pod } from '../../protocol/kubernetes/index.ts'
import type { PodFailure } from './pod-failures.ts'

export type HostPort = ContainerPort & { readonly hostPort: number }

const EVERYWHERE = '0.0.0.0'

const NOT_FREE: PodFailure = {
  reason: 'NodePorts',
  message:
    "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
}

/** Those of containers that run side by side, sidecars among them. */
export function hostPortsOf({ spec }: Pod): HostPort[] {
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')
  return [...sidecars, ...spec.containers].flatMap(({ ports = [] }) =>
    ports.flatMap(port => {
      // In the host's network there is but one port.
      const { hostPort = spec.hostNetwork === true ? port.containerPort : 0 } = port
      return hostPort === 0 ? [] : [{ ...port, hostPort }]
    }),
  )
}

function addressOf({ hostIP = '' }: HostPort): string {
  return hostIP === '' ? EVERYWHERE : hostIP
}

/** As the scheduler's NodePorts compares them. */
function collide(one: HostPort, other: HostPort): boolean {
  if (one.hostPort !== other.hostPort || (one.protocol ?? 'TCP') !== (other.protocol ?? 'TCP')) return false
  const addresses = [addressOf(one), addressOf(other)]
  return addresses[0] === addresses[1] || addresses.includes(EVERYWHERE)
}

/** Whether one pod was made before another: of those that come to a host together, the first is taken. */
function isOlder({ metadata: one }: Pod, { metadata: other }: Pod): boolean {
  const age = (one.creationTimestamp ?? '').localeCompare(other.creationTimestamp ?? '')
  return age < 0 || (age === 0 && (one.uid ?? '') < (other.uid ?? ''))
}

/** Whether a pod has its ports before another comes. One that is being ended gives them up: it is waited for. */
function comesBefore(other: Pod, pod: Pod, isActive: (uid: string) => boolean): boolean {
  const { uid = '', deletionTimestamp } = other.metadata
  if (uid === pod.metadata.uid || deletionTimestamp !== undefined) return false
  const phase = other.status?.phase
  return phase !== 'Succeeded' && phase !== 'Failed' && (isActive(uid) || isOlder(other, pod))
}

/**
 * Why a new pod is not taken, which nobody scheduled or which was scheduled too late: in the kubelet's words. Static pods are
 * taken, and wait for their ports: nobody would put another in their place.
 *
 * @param known pods of this host, but those that it has given up
 * @param isActive whether something of a pod runs
 */
export function portConflict(
  pod: Pod,
  known: readonly Pod[],
  isActive: (uid: string) => boolean,
): PodFailure | undefined {
  const ports = hostPortsOf(pod)
  if (ports.length === 0 || isStatic(pod)) return undefined
  const taken = known
    .filter(other => comesBefore(other, pod, isActive))
    .some(other => hostPortsOf(other).some(theirs => ports.some(port => collide(port, theirs))))
  return taken ? NOT_FREE : undefined
}
