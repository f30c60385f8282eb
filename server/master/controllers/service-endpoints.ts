/** Which endpoint slices a service should have: from its pods, and from the slices it has. Pure. */
import { isDeepStrictEqual } from 'node:util'
import type {
  Draft,
  EndpointSlice,
  Frozen,
  Pod,
  Service,
  ServicePort,
  SliceEndpoint,
  SlicePort,
} from '../apiserver/index.ts'
import { isOver } from '../apiserver/index.ts'

export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name'
export const MANAGED_BY_LABEL = 'endpointslice.kubernetes.io/managed-by'
export const MANAGED_BY = 'endpointslice-controller.k8s.io'
export const HEADLESS_LABEL = 'service.kubernetes.io/headless'
export const ZONE_LABEL = 'topology.kubernetes.io/zone'

/** Values of `trafficDistribution` by which clients are led to endpoints of their own zone, where there are any. */
const ZONAL: ReadonlySet<string | undefined> = new Set(['PreferClose', 'PreferSameZone', 'PreferSameNode'])

/** The zone of a node; undefined where nobody said one. */
export type ZoneOf = (node: string) => string | undefined

/** Endpoints of one slice, as in Kubernetes: one that changes is sent as a whole to everybody who watches. */
const MOST_ENDPOINTS = 100

export interface SlicePlan {
  readonly create: readonly Draft<EndpointSlice>[]
  readonly update: readonly Draft<EndpointSlice>[]
  /** Names. */
  readonly remove: readonly string[]
}

/** Whether a service's pods are found by labels; the endpoints of others are their owners' affair. */
export function hasSelector({ spec }: Frozen<Service>): boolean {
  return spec.type !== 'ExternalName' && Object.keys(spec.selector ?? {}).length > 0
}

/** Whether a service is about pods with these labels. */
export function selects({ spec }: Frozen<Service>, labels: Frozen<Record<string, string>> = {}): boolean {
  return Object.entries(spec.selector ?? {}).every(([key, value]) => labels[key] === value)
}

/** What of a pod its endpoints show; equal for versions of a pod that differ in nothing else. */
export function endpointTraits({ metadata, spec, status }: Frozen<Pod>): readonly unknown[] {
  return [
    ...[metadata.uid, metadata.labels, metadata.deletionTimestamp === undefined],
    ...[status.podIP, status.phase, isReady(status), spec.nodeName, spec.hostname, spec.subdomain],
  ]
}

function isReady({ conditions }: Frozen<Pod>['status']): boolean {
  return conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true
}

function isReachable(pod: Frozen<Pod>): boolean {
  return !isOver(pod) && (pod.status.podIP ?? '') !== ''
}

function endpointOf(pod: Frozen<Pod>, service: Frozen<Service>, zoneOf: ZoneOf): SliceEndpoint {
  const { metadata, spec, status } = pod
  const { name, uid = '', namespace = '' } = metadata
  const terminating = metadata.deletionTimestamp !== undefined
  const serving = isReady(status)
  const ready = service.spec.publishNotReadyAddresses === true || (serving && !terminating)
  // Only a pod that names the service as its subdomain has a name of its own below it.
  const named = (spec.hostname ?? '') !== '' && spec.subdomain === service.metadata.name
  const zone = spec.nodeName === undefined ? undefined : zoneOf(spec.nodeName)
  const hasHint = zone !== undefined && ready && ZONAL.has(service.spec.trafficDistribution)
  return {
    addresses: [status.podIP ?? ''],
    conditions: { ready, serving, terminating },
    ...(named && spec.hostname !== undefined ? { hostname: spec.hostname } : {}),
    ...(spec.nodeName === undefined ? {} : { nodeName: spec.nodeName }),
    targetRef: { kind: 'Pod', namespace, name, uid },
    ...(zone === undefined ? {} : { zone }),
    ...(hasHint ? { hints: { forZones: [{ name: zone }] } } : {}),
  }
}

/** The number behind a target port; undefined when the pod has no port of that name. */
function targetPort(
  { port, protocol, targetPort: target = port }: Frozen<ServicePort>,
  { spec }: Frozen<Pod>,
): number | undefined {
  if (typeof target === 'number') return target === 0 ? port : target
  const helpers = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')
  return [...spec.containers, ...helpers]
    .flatMap(container => container.ports ?? [])
    .find(candidate => candidate.name === target && candidate.protocol === protocol)?.containerPort
}

function portsOf(service: Frozen<Service>, pod: Frozen<Pod>): SlicePort[] {
  return (service.spec.ports ?? []).flatMap(wanted => {
    const port = targetPort(wanted, pod)
    if (port === undefined) return []
    const { name = '', protocol, appProtocol } = wanted
    return [{ name, protocol, port, ...(appProtocol === undefined ? {} : { appProtocol }) }]
  })
}

/** Endpoints that have the same ports can share a slice. */
interface Group {
  readonly ports: readonly SlicePort[]
  /** By the pod's uid. */
  readonly endpoints: Map<string, SliceEndpoint>
}

function portsKey(ports: Frozen<SlicePort[]>): string {
  return JSON.stringify(
    ports.map(({ name = '', protocol = '', port = 0, appProtocol = '' }) => [
      name,
      protocol,
      port,
      appProtocol,
    ]),
  )
}

function groupsOf(
  service: Frozen<Service>,
  pods: readonly Frozen<Pod>[],
  zoneOf: ZoneOf,
): Map<string, Group> {
  const groups = new Map<string, Group>()
  for (const pod of pods) {
    if (!isReachable(pod) || !selects(service, pod.metadata.labels)) continue
    const ports = portsOf(service, pod)
    const key = portsKey(ports)
    const group = groups.get(key) ?? { ports, endpoints: new Map<string, SliceEndpoint>() }
    groups.set(key, group)
    group.endpoints.set(pod.metadata.uid ?? '', endpointOf(pod, service, zoneOf))
  }
  // A service without pods still has a slice, which says so.
  if (groups.size === 0) groups.set(portsKey([]), { ports: [], endpoints: new Map() })
  return groups
}

function sliceMetadata(service: Frozen<Service>) {
  const { name, namespace = '', uid = '', labels } = service.metadata
  return {
    namespace,
    generateName: `${name}-`,
    labels: {
      ...labels,
      ...(service.spec.clusterIP === 'None' ? { [HEADLESS_LABEL]: '' } : {}),
      [SERVICE_NAME_LABEL]: name,
      [MANAGED_BY_LABEL]: MANAGED_BY,
    },
    ownerReferences: [
      { apiVersion: 'v1', kind: 'Service', name, uid, controller: true, blockOwnerDeletion: true },
    ],
  }
}

const KIND = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' }

function isIpv4({ addressType }: Frozen<EndpointSlice>): boolean {
  return addressType === 'IPv4'
}

/** A slice as it was found, with what it shall hold. */
interface Filling {
  /** Undefined for one to be made. */
  readonly slice: Frozen<EndpointSlice> | undefined
  readonly endpoints: SliceEndpoint[]
}

/** Leaves every endpoint in the slice it is in, so that a change of one pod is a change of one slice. */
function keepPlaces(group: Group, slices: readonly Frozen<EndpointSlice>[]): Filling[] {
  return slices.map(slice => {
    const endpoints = (slice.endpoints ?? []).flatMap(({ targetRef }) => {
      const uid = targetRef?.uid ?? ''
      const wanted = group.endpoints.get(uid)
      group.endpoints.delete(uid)
      return wanted ?? []
    })
    return { slice, endpoints }
  })
}

function differs(slice: Frozen<EndpointSlice>, draft: Draft<EndpointSlice>): boolean {
  const { labels, ownerReferences } = slice.metadata
  const { metadata, endpoints } = draft
  return !(
    isDeepStrictEqual(slice.endpoints ?? [], endpoints) &&
    isDeepStrictEqual(labels, metadata.labels) &&
    isDeepStrictEqual(ownerReferences, metadata.ownerReferences)
  )
}

/** Fills what slices of a group there are, then new ones. */
function planGroup(group: Group, present: readonly Frozen<EndpointSlice>[]): Filling[] {
  const empty = group.endpoints.size === 0
  const fillings = keepPlaces(group, present)
  const rest = [...group.endpoints.values()]
  for (const { endpoints } of fillings) endpoints.push(...rest.splice(0, MOST_ENDPOINTS - endpoints.length))
  while (rest.length > 0) fillings.push({ slice: undefined, endpoints: rest.splice(0, MOST_ENDPOINTS) })
  const used = fillings.filter(({ endpoints }) => endpoints.length > 0)
  if (!empty) return used
  return [fillings[0] ?? { slice: undefined, endpoints: [] }]
}

/**
 * What to do so that the slices of `service` say what its pods are.
 *
 * @param slices those that are ours
 */
export function planSlices(
  service: Frozen<Service>,
  pods: readonly Frozen<Pod>[],
  slices: readonly Frozen<EndpointSlice>[],
  zoneOf: ZoneOf = () => undefined,
): SlicePlan {
  const metadata = sliceMetadata(service)
  const planned = [...groupsOf(service, pods, zoneOf)].flatMap(([key, group]) => {
    const present = slices.filter(slice => isIpv4(slice) && portsKey(slice.ports ?? []) === key)
    return planGroup(group, present).map(filling => ({ ...filling, ports: [...group.ports] }))
  })
  const used = new Set(planned.map(({ slice }) => slice))
  const free = slices.filter(slice => !used.has(slice))
  const create: Draft<EndpointSlice>[] = []
  const update: Draft<EndpointSlice>[] = []
  for (const { slice, endpoints, ports } of planned) {
    const content = { ...KIND, addressType: 'IPv4', endpoints, ports }
    // One that has to go anyway becomes the new one: names last.
    const reused = slice ?? free.splice(free.findIndex(isIpv4), free.some(isIpv4) ? 1 : 0)[0]
    if (reused === undefined) create.push({ ...content, metadata })
    else {
      const { name, resourceVersion = '' } = reused.metadata
      const draft = { ...content, metadata: { ...metadata, name, resourceVersion } }
      if (slice === undefined || differs(slice, draft)) update.push(draft)
    }
  }
  return { create, update, remove: free.map(slice => slice.metadata.name) }
}
