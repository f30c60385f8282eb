/**
 * Endpoint slices of services without a selector: mirrors of the Endpoints that somebody keeps by hand, for whoever knows
 * slices alone. Pure.
 */
import { isIPv4, isIPv6 } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import type {
  Draft,
  EndpointSlice,
  Endpoints,
  Frozen,
  KubernetesObject,
  Service,
  SliceEndpoint,
  SlicePort,
} from '../apiserver/index.ts'
import { ownerReferenceTo } from './owner-reference.ts'
import {
  HEADLESS_LABEL,
  hasSelector,
  MANAGED_BY_LABEL,
  SERVICE_NAME_LABEL,
  type SlicePlan,
} from './service-endpoints.ts'

export const MIRRORED_BY = 'endpointslicemirroring-controller.k8s.io'
const SKIP_LABEL = 'endpointslice.kubernetes.io/skip-mirror'
/** Endpoints that are no endpoints: somebody elects a leader with them. */
const LEADER_ANNOTATION = 'control-plane.alpha.kubernetes.io/leader'
/** About the text of the Endpoints themselves. */
const OWN_ANNOTATIONS: ReadonlySet<string> = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  'endpoints.kubernetes.io/last-change-trigger-time',
])
const ENDPOINTS_KIND = { apiVersion: 'v1', kind: 'Endpoints' }
const SLICE_KIND = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' }
/** Most endpoints of one slice, and as many of one subset are mirrored. */
const MOST_ENDPOINTS = 1000

type Subset = NonNullable<Endpoints['subsets']>[number]
type Address = NonNullable<Subset['addresses']>[number]
type Family = 'IPv4' | 'IPv6'

/** Whether a service's slices are mirrors: nobody else makes any for it. */
function isMirrored(service: Frozen<Service>, { metadata }: Frozen<Endpoints>): boolean {
  return (
    service.spec.type !== 'ExternalName' &&
    !hasSelector(service) &&
    metadata.labels?.[SKIP_LABEL] !== 'true' &&
    metadata.annotations?.[LEADER_ANNOTATION] === undefined
  )
}

function familyOf(ip: string): Family | undefined {
  return isIPv4(ip) ? 'IPv4' : isIPv6(ip) ? 'IPv6' : undefined
}

function endpointOf({ ip, hostname, nodeName, targetRef }: Frozen<Address>, ready: boolean): SliceEndpoint {
  return {
    addresses: [ip],
    conditions: { ready },
    ...(hostname === undefined || hostname === '' ? {} : { hostname }),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(targetRef === undefined ? {} : { targetRef: { ...targetRef } }),
  }
}

function portsOf({ ports = [] }: Frozen<Subset>): SlicePort[] {
  return ports.map(({ name = '', port, protocol, appProtocol }) => ({
    name,
    port,
    protocol,
    ...(appProtocol === undefined ? {} : { appProtocol }),
  }))
}

interface Mirror {
  readonly addressType: Family
  readonly ports: SlicePort[]
  /** By address: one that is ready in one subset is ready. */
  readonly endpoints: Map<string, SliceEndpoint>
}

function keyOf(addressType: string, ports: Frozen<SlicePort[]> = []): string {
  const texts = ports.map(({ name = '', protocol = '', port = 0, appProtocol = '' }) =>
    JSON.stringify([name, protocol, port, appProtocol]),
  )
  return [addressType, ...texts.toSorted()].join()
}

function mirrorsOf({ subsets = [] }: Frozen<Endpoints>): Map<string, Mirror> {
  const mirrors = new Map<string, Mirror>()
  for (const subset of subsets) {
    const ports = portsOf(subset)
    const all = [
      ...(subset.addresses ?? []).map(address => endpointOf(address, true)),
      ...(subset.notReadyAddresses ?? []).map(address => endpointOf(address, false)),
    ]
    for (const endpoint of all.slice(0, MOST_ENDPOINTS)) {
      const [ip = ''] = endpoint.addresses
      const addressType = familyOf(ip)
      if (addressType === undefined) continue
      const key = keyOf(addressType, ports)
      const mirror = mirrors.get(key) ?? { addressType, ports, endpoints: new Map<string, SliceEndpoint>() }
      mirrors.set(key, mirror)
      if (!mirror.endpoints.has(ip) && mirror.endpoints.size < MOST_ENDPOINTS)
        mirror.endpoints.set(ip, endpoint)
    }
  }
  return mirrors
}

function without(
  texts: Frozen<Record<string, string>> | undefined,
  left: ReadonlySet<string>,
): Record<string, string> {
  return Object.fromEntries(Object.entries(texts ?? {}).filter(([name]) => !left.has(name)))
}

function mirrorMetadata(service: Frozen<Service>, endpoints: Frozen<Endpoints>) {
  const { name, namespace = '', labels, annotations } = endpoints.metadata
  const kept = without(annotations, OWN_ANNOTATIONS)
  return {
    namespace,
    generateName: `${name}-`,
    labels: {
      ...labels,
      ...(service.spec.clusterIP === 'None' ? { [HEADLESS_LABEL]: '' } : {}),
      [SERVICE_NAME_LABEL]: name,
      [MANAGED_BY_LABEL]: MIRRORED_BY,
    },
    ...(Object.keys(kept).length === 0 ? {} : { annotations: kept }),
    ownerReferences: [ownerReferenceTo(endpoints as Frozen<KubernetesObject>, ENDPOINTS_KIND)],
  }
}

function differs(slice: Frozen<EndpointSlice>, draft: Draft<EndpointSlice>): boolean {
  const { labels, annotations = {}, ownerReferences } = slice.metadata
  return !(
    isDeepStrictEqual(slice.endpoints ?? [], draft.endpoints) &&
    isDeepStrictEqual(labels, draft.metadata.labels) &&
    isDeepStrictEqual(annotations, draft.metadata.annotations ?? {}) &&
    isDeepStrictEqual(ownerReferences, draft.metadata.ownerReferences)
  )
}

/**
 * What to do so that a service's slices mirror its Endpoints.
 *
 * @param service undefined when there is none of that name
 * @param endpoints undefined when there are none
 * @param slices those that are mirrors of it
 */
export function planMirrors(
  service: Frozen<Service> | undefined,
  endpoints: Frozen<Endpoints> | undefined,
  slices: readonly Frozen<EndpointSlice>[],
): SlicePlan {
  if (service === undefined || endpoints === undefined || !isMirrored(service, endpoints)) {
    return { create: [], update: [], remove: slices.map(slice => slice.metadata.name) }
  }
  const metadata = mirrorMetadata(service, endpoints)
  const mirrors = mirrorsOf(endpoints)
  const create: Draft<EndpointSlice>[] = []
  const update: Draft<EndpointSlice>[] = []
  const used = new Set<Frozen<EndpointSlice>>()
  for (const [key, { addressType, ports, endpoints: found }] of mirrors) {
    const content = { ...SLICE_KIND, addressType, endpoints: [...found.values()], ports }
    const slice = slices.find(each => !used.has(each) && keyOf(each.addressType, each.ports) === key)
    if (slice === undefined) {
      create.push({ ...content, metadata })
      continue
    }
    used.add(slice)
    const { name, resourceVersion = '' } = slice.metadata
    const draft = { ...content, metadata: { ...metadata, name, resourceVersion } }
    if (differs(slice, draft)) update.push(draft)
  }
  const remove = slices.filter(slice => !used.has(slice)).map(slice => slice.metadata.name)
  return { create, update, remove }
}
