/** What names need to know of services and endpoint slices, and nothing else: it is kept for all of a cluster. */
import { type Static, Type } from '../../../../kit/index.ts'
import type { EndpointSlice, Service } from '../../../../protocol/kubernetes/index.ts'

const port = Type.Object({
  /** Empty where there is only one. */
  name: Type.String(),
  protocol: Type.Union([Type.Literal('tcp'), Type.Literal('udp')]),
  port: Type.Integer({ minimum: 1, maximum: 65_535 }),
})

const serviceRecord = Type.Object({
  namespace: Type.String(),
  name: Type.String(),
  /** Empty for services without one (`clusterIP: None`). */
  addresses: Type.Array(Type.String()),
  /** What a service of type `ExternalName` stands for. */
  externalName: Type.Optional(Type.String()),
  publishesUnready: Type.Boolean(),
  ports: Type.Array(port),
})

const sliceRecord = Type.Object({
  namespace: Type.String(),
  name: Type.String(),
  service: Type.String(),
  endpoints: Type.Array(
    Type.Object({
      addresses: Type.Array(Type.String()),
      hostname: Type.Optional(Type.String()),
      ready: Type.Boolean(),
    }),
  ),
  ports: Type.Array(port),
})

/** Everything, as it is on disk. */
export const keptRecords = Type.Object({
  services: Type.Array(serviceRecord),
  slices: Type.Array(sliceRecord),
})

export type ServiceRecord = Static<typeof serviceRecord>
export type SliceRecord = Static<typeof sliceRecord>
export type NamedPort = Static<typeof port>

const SERVICE_NAME_LABEL = 'kubernetes.io/service-name'

interface LoosePort {
  readonly name?: string
  readonly protocol?: string
  readonly port?: number
}

/** Ports that records can be made of; there are none for SCTP in a cluster of ours. */
function portsOf(ports: readonly LoosePort[] = []): NamedPort[] {
  return ports.flatMap(({ name = '', protocol = 'TCP', port: number }) => {
    const lower = protocol.toLowerCase()
    if (number === undefined || (lower !== 'tcp' && lower !== 'udp')) return []
    return [{ name, protocol: lower, port: number }]
  })
}

export function serviceRecordOf({ metadata, spec = {} }: Service): ServiceRecord {
  const { namespace = '', name } = metadata
  const addresses = spec.clusterIPs ?? [spec.clusterIP ?? '']
  const external = spec.type === 'ExternalName' && spec.externalName !== undefined
  return {
    namespace,
    name,
    addresses: addresses.filter(address => address !== '' && address !== 'None'),
    ...(external ? { externalName: spec.externalName ?? '' } : {}),
    publishesUnready: spec.publishNotReadyAddresses === true,
    ports: portsOf(spec.ports),
  }
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
    endpoints: endpoints.map(({ addresses, hostname, conditions }) => ({
      addresses,
      ...(hostname === undefined ? {} : { hostname }),
      // Who says nothing is ready (documentation of the field).
      ready: conditions?.ready !== false,
    })),
    ports: portsOf(ports),
  }
}
