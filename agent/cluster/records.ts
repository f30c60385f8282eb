/** What this host needs to know of the cluster's objects, and nothing else: it is kept for all of a cluster. */
import { isIPv4 } from 'node:net'
import { type Static, Type } from '../../kit/index.ts'
import type {
  EndpointConditions,
  EndpointSlice,
  KubernetesObject,
  Namespace,
  NetworkPolicy,
  Pod,
  PodStatus,
  Service,
} from '../../protocol/kubernetes/index.ts'

const portNumber = Type.Integer({ minimum: 1, maximum: 65_535 })
const protocol = Type.Union([Type.Literal('tcp'), Type.Literal('udp')])

const port = Type.Object({
  /** Empty where there is only one. */
  name: Type.String(),
  protocol,
  port: portNumber,
})

const servicePort = Type.Object({
  ...port.properties,
  /** On every host; absent where there is none. */
  nodePort: Type.Optional(portNumber),
})

export const serviceRecord = Type.Object({
  namespace: Type.String(),
  name: Type.String(),
  /** Empty for services without one (`clusterIP: None`). */
  addresses: Type.Array(Type.String()),
  /** Addresses of others under which it is reached, too. */
  externalAddresses: Type.Optional(Type.Array(Type.String())),
  /** Addresses of load balancers under which only clients of `sourceRanges` reach it. */
  guardedAddresses: Type.Optional(Type.Array(Type.String())),
  sourceRanges: Type.Optional(Type.Array(Type.String())),
  /** Where this host says whether it has endpoints of it. */
  healthCheckPort: Type.Optional(portNumber),
  /** Clients are led to endpoints of their own host, where there are any. */
  prefersOwnHost: Type.Optional(Type.Boolean()),
  /** What a service of type `ExternalName` stands for. */
  externalName: Type.Optional(Type.String()),
  publishesUnready: Type.Boolean(),
  /** Seconds for which a client stays with its endpoint; absent where it need not. */
  affinity: Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400 })),
  /** Clients inside, or outside, are served by endpoints of their own host alone (traffic policy `Local`). */
  insideLocal: Type.Optional(Type.Boolean()),
  outsideLocal: Type.Optional(Type.Boolean()),
  ports: Type.Array(servicePort),
})

export const sliceRecord = Type.Object({
  namespace: Type.String(),
  name: Type.String(),
  service: Type.String(),
  endpoints: Type.Array(
    Type.Object({
      addresses: Type.Array(Type.String()),
      hostname: Type.Optional(Type.String()),
      /** Name of the node that it is on. */
      node: Type.Optional(Type.String()),
      ready: Type.Boolean(),
      /** About to end, and still answering. */
      draining: Type.Optional(Type.Boolean()),
      /** Zones whose clients should be led to it. */
      zones: Type.Optional(Type.Array(Type.String())),
    }),
  ),
  ports: Type.Array(port),
})

/** Of this host's node alone. */
export const nodeRecord = Type.Object({
  namespace: Type.Literal(''),
  name: Type.String(),
  zone: Type.Optional(Type.String()),
})

export const namespaceRecord = Type.Object({
  namespace: Type.Literal(''),
  name: Type.String(),
  labels: Type.Record(Type.String(), Type.String()),
})

/** A pod that has its own network. */
export const podRecord = Type.Object({
  namespace: Type.String(),
  name: Type.String(),
  labels: Type.Record(Type.String(), Type.String()),
  /** Absent until it is known to the cluster. */
  address: Type.Optional(Type.String()),
  namedPorts: Type.Optional(
    Type.Array(
      Type.Object({ name: Type.String(), port: portNumber, protocol: Type.Optional(Type.String()) }),
    ),
  ),
})

const labelSelector = Type.Object({
  matchLabels: Type.Optional(Type.Record(Type.String(), Type.String())),
  matchExpressions: Type.Optional(
    Type.Array(
      Type.Object({
        key: Type.String(),
        operator: Type.String(),
        values: Type.Optional(Type.Array(Type.String())),
      }),
    ),
  ),
})

const policyPeer = Type.Object({
  podSelector: Type.Optional(labelSelector),
  namespaceSelector: Type.Optional(labelSelector),
  ipBlock: Type.Optional(
    Type.Object({ cidr: Type.String(), except: Type.Optional(Type.Array(Type.String())) }),
  ),
})

const policyPort = Type.Object({
  protocol: Type.Optional(Type.String()),
  port: Type.Optional(Type.Union([portNumber, Type.String()])),
  endPort: Type.Optional(portNumber),
})

export const policyRecord = Type.Object({
  namespace: Type.String(),
  name: Type.String(),
  spec: Type.Object({
    podSelector: labelSelector,
    policyTypes: Type.Optional(Type.Array(Type.String())),
    ingress: Type.Optional(
      Type.Array(
        Type.Object({
          from: Type.Optional(Type.Array(policyPeer)),
          ports: Type.Optional(Type.Array(policyPort)),
        }),
      ),
    ),
    egress: Type.Optional(
      Type.Array(
        Type.Object({
          to: Type.Optional(Type.Array(policyPeer)),
          ports: Type.Optional(Type.Array(policyPort)),
        }),
      ),
    ),
  }),
})

export type ServiceRecord = Static<typeof serviceRecord>
export type SliceRecord = Static<typeof sliceRecord>
export type NodeRecord = Static<typeof nodeRecord>
export type NamespaceRecord = Static<typeof namespaceRecord>
export type PodRecord = Static<typeof podRecord>
export type PolicyRecord = Static<typeof policyRecord>

const SERVICE_NAME_LABEL = 'kubernetes.io/service-name'
const ZONE_LABEL = 'topology.kubernetes.io/zone'

/** Seconds (Kubernetes, `sessionAffinityConfig.clientIP.timeoutSeconds`). */
const DEFAULT_AFFINITY = 10_800

interface LoosePort {
  readonly name?: string
  readonly protocol?: string
  readonly port?: number
  readonly nodePort?: number
}

/** Ports that records can be made of; there are none for SCTP in a cluster of ours. */
function portsOf(ports: readonly LoosePort[] = []): ServiceRecord['ports'] {
  return ports.flatMap(({ name = '', protocol: upper = 'TCP', port: number, nodePort = 0 }) => {
    const lower = upper.toLowerCase()
    if (number === undefined || (lower !== 'tcp' && lower !== 'udp')) return []
    return [{ name, protocol: lower, port: number, ...(nodePort === 0 ? {} : { nodePort }) }]
  })
}

/** Addresses of load balancers that send packets on as they are. */
function balancedAddresses({ spec = {}, status }: Service): string[] {
  if (spec.type !== 'LoadBalancer') return []
  const ingress = status?.loadBalancer?.ingress ?? []
  return ingress.flatMap(({ ip, ipMode = 'VIP' }) => (ip === undefined || ipMode !== 'VIP' ? [] : [ip]))
}

export function serviceRecordOf(service: Service): ServiceRecord {
  const { metadata, spec = {} } = service
  const { namespace = '', name } = metadata
  const addresses = spec.clusterIPs ?? [spec.clusterIP ?? '']
  const external = spec.type === 'ExternalName' && spec.externalName !== undefined
  const affinity = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY
  const { loadBalancerSourceRanges: ranges = [], externalIPs = [], healthCheckNodePort = 0 } = spec
  const balanced = balancedAddresses(service)
  const isGuarded = ranges.length > 0 && balanced.length > 0
  const externalAddresses = [...new Set([...externalIPs, ...(isGuarded ? [] : balanced)])]
  return {
    namespace,
    name,
    addresses: addresses.filter(address => address !== '' && address !== 'None'),
    ...(externalAddresses.length === 0 ? {} : { externalAddresses }),
    ...(isGuarded ? { guardedAddresses: balanced, sourceRanges: ranges.map(range => range.trim()) } : {}),
    ...(healthCheckNodePort === 0 ? {} : { healthCheckPort: healthCheckNodePort }),
    ...(spec.trafficDistribution === 'PreferSameNode' ? { prefersOwnHost: true } : {}),
    ...(external ? { externalName: spec.externalName ?? '' } : {}),
    publishesUnready: spec.publishNotReadyAddresses === true,
    ...(spec.sessionAffinity === 'ClientIP' ? { affinity } : {}),
    ...(spec.internalTrafficPolicy === 'Local' ? { insideLocal: true } : {}),
    ...(spec.externalTrafficPolicy === 'Local' ? { outsideLocal: true } : {}),
    ports: portsOf(spec.ports),
  }
}

function readinessOf({ ready, serving, terminating }: EndpointConditions = {}): {
  ready: boolean
  draining?: boolean
} {
  // Who says nothing is ready (documentation of the field).
  if (ready !== false) return { ready: true }
  return { ready: false, ...(serving === true && terminating === true ? { draining: true } : {}) }
}

/** Undefined for slices that belong to no service, or have names instead of addresses. */
export function sliceRecordOf({
  metadata,
  addressType,
  endpoints = [],
  ports,
}: EndpointSlice): SliceRecord | undefined {
  const { namespace = '', name, labels } = metadata
  const service = labels?.[SERVICE_NAME_LABEL]
  if (service === undefined || addressType === 'FQDN') return undefined
  return {
    namespace,
    name,
    service,
    endpoints: endpoints.map(({ addresses, hostname, nodeName, conditions, hints }) => ({
      addresses,
      ...(hostname === undefined ? {} : { hostname }),
      ...(nodeName === undefined ? {} : { node: nodeName }),
      ...readinessOf(conditions),
      ...(hints?.forZones === undefined ? {} : { zones: hints.forZones.map(zone => zone.name) }),
    })),
    ports: portsOf(ports),
  }
}

export function nodeRecordOf({ metadata: { name, labels } }: KubernetesObject): NodeRecord {
  const zone = labels?.[ZONE_LABEL]
  return { namespace: '', name, ...(zone === undefined ? {} : { zone }) }
}

export function namespaceRecordOf({ metadata: { name, labels = {} } }: Namespace): NamespaceRecord {
  return { namespace: '', name, labels }
}

/** Undefined for pods on their host's network, and for those that have ended and given their address back. */
export function podRecordOf({ metadata, spec, status }: Pod): PodRecord | undefined {
  const { namespace = '', name, labels = {} } = metadata
  if (spec.hostNetwork === true || status?.phase === 'Succeeded' || status?.phase === 'Failed')
    return undefined
  const namedPorts = spec.containers.flatMap(({ ports = [] }) =>
    ports.flatMap(({ name: portName, containerPort, protocol: upper }) =>
      portName === undefined
        ? []
        : [{ name: portName, port: containerPort, ...(upper === undefined ? {} : { protocol: upper }) }],
    ),
  )
  return {
    namespace,
    name,
    labels,
    ...addressOf(status),
    ...(namedPorts.length === 0 ? {} : { namedPorts }),
  }
}

/** What policies know a pod by: its IPv6 address follows from it. */
function addressOf(status: PodStatus | undefined): Pick<PodRecord, 'address'> {
  const others = status?.podIPs?.map(({ ip }) => ip) ?? []
  const address = [status?.podIP ?? '', ...others].find(ip => isIPv4(ip))
  return address === undefined ? {} : { address }
}

export function policyRecordOf({ metadata, spec = {} }: NetworkPolicy): PolicyRecord {
  const { namespace = '', name } = metadata
  return { namespace, name, spec: { ...spec, podSelector: spec.podSelector ?? {} } }
}
