/** From a name in a cluster to what serves it: pods, and the ports that they serve it at. */
import type { AccessView } from '../access/index.ts'
import type { Frozen } from '../json.ts'
import type { EndpointSlice, Pod, Service, ServicePort } from '../objects.ts'
import { notFound, StatusError } from '../status.ts'

/** The part of a cluster that says what serves what. */
export interface ClusterView extends AccessView {
  readonly id: string
  /** Aborts when the cluster leaves memory: nothing is waited for any more. */
  readonly closing: AbortSignal
}

/** A port of a pod. */
export interface Destination {
  readonly pod: Frozen<Pod>
  readonly port: number
}

/** @throws `NotFound` */
export function findPod(cluster: ClusterView, namespace: string, name: string): Frozen<Pod> {
  const stored = cluster.find('pods', namespace, name)
  if (stored === undefined) throw notFound({ group: '', resource: 'pods' }, name)
  return cluster.read(stored) as Frozen<Pod>
}

function portOf(ports: readonly Frozen<ServicePort>[], wanted: string): Frozen<ServicePort> | undefined {
  if (wanted === '' && ports.length === 1) return ports[0]
  return ports.find(each => each.name === wanted || String(each.port) === wanted)
}

/**
 * The ready pods behind a port of a service, those of the youngest slices last.
 *
 * @param wanted name or number of the service's port; empty for the only one
 * @returns at least one
 * @throws `NotFound`, `ServiceUnavailable` when nothing serves it
 */
export function endpointsOf(
  cluster: ClusterView,
  namespace: string,
  name: string,
  wanted: string,
): readonly Destination[] {
  const stored = cluster.find('services', namespace, name)
  if (stored === undefined) throw notFound({ group: '', resource: 'services' }, name)
  const port = portOf((cluster.read(stored) as Frozen<Service>).spec.ports ?? [], wanted)
  const found = port === undefined ? [] : readyPods(cluster, namespace, name, port)
  if (found.length > 0) return found
  throw new StatusError('ServiceUnavailable', `no endpoints available for service ${JSON.stringify(name)}`)
}

function readyPods(
  cluster: ClusterView,
  namespace: string,
  service: string,
  port: Frozen<ServicePort>,
): Destination[] {
  const slices = cluster
    .list('discovery.k8s.io/endpointslices', namespace)
    .map(each => cluster.read(each) as Frozen<EndpointSlice>)
    .filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === service)
  return slices.flatMap(({ ports, endpoints }) => {
    const target = ports?.find(each => (each.name ?? '') === (port.name ?? ''))?.port
    if (target === undefined) return []
    return (endpoints ?? []).flatMap(({ conditions, targetRef }) => {
      if (conditions?.ready === false || targetRef?.kind !== 'Pod') return []
      // A slice may be older than what became of its pods.
      const pod = cluster.find('pods', namespace, targetRef.name ?? '')
      return pod === undefined ? [] : [{ pod: cluster.read(pod) as Frozen<Pod>, port: target }]
    })
  })
}
