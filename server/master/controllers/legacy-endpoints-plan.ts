/** Endpoints, the older form of endpoint slices: one object for each service, made from its slices. Pure. */
import type { Draft, EndpointSlice, Endpoints, Frozen, Service, SlicePort } from '../apiserver/index.ts'

const MANAGED_BY_LABEL = 'endpoints.kubernetes.io/managed-by'
const HEADLESS_LABEL = 'service.kubernetes.io/headless'
const OVER_CAPACITY = 'endpoints.kubernetes.io/over-capacity'
/** As in Kubernetes: an object of a large service would be sent whole for every pod. */
const MOST_ADDRESSES = 1000

type Subset = NonNullable<Endpoints['subsets']>[number]
type Address = NonNullable<Subset['addresses']>[number]

function portsOf(ports: readonly Frozen<SlicePort>[]): NonNullable<Subset['ports']> {
  return ports.flatMap(({ name = '', port, protocol = 'TCP', appProtocol }) =>
    port === undefined
      ? []
      : [
          {
            ...(name === '' ? {} : { name }),
            port,
            protocol,
            ...(appProtocol === undefined ? {} : { appProtocol }),
          },
        ],
  )
}

function addressesOf(slice: Frozen<EndpointSlice>, ready: boolean): Address[] {
  return (slice.endpoints ?? []).flatMap(({ addresses, conditions = {}, hostname, nodeName, targetRef }) => {
    if ((conditions.ready ?? true) !== ready || (!ready && conditions.terminating === true)) return []
    return addresses.slice(0, 1).map(ip => ({
      ip,
      ...(hostname === undefined ? {} : { hostname }),
      ...(nodeName === undefined ? {} : { nodeName }),
      ...(targetRef === undefined ? {} : { targetRef: { ...targetRef } }),
    }))
  })
}

function compareAddresses(a: Address, b: Address): number {
  return a.ip < b.ip ? -1 : a.ip > b.ip ? 1 : 0
}

/** What the Endpoints of a service should be. */
export function endpointsOf(
  service: Frozen<Service>,
  slices: readonly Frozen<EndpointSlice>[],
): Draft<Endpoints> {
  const { name, namespace, labels } = service.metadata
  const byPorts = Map.groupBy(
    slices.filter(({ addressType }) => addressType === 'IPv4'),
    ({ ports = [] }) => JSON.stringify(portsOf(ports)),
  )
  let room = MOST_ADDRESSES
  let truncated = false
  const take = (all: Address[]) => {
    const taken = all.toSorted(compareAddresses).slice(0, room)
    room -= taken.length
    if (taken.length < all.length) truncated = true
    return taken
  }
  const subsets = [...byPorts].flatMap(([ports, group]): Subset[] => {
    const addresses = take(group.flatMap(slice => addressesOf(slice, true)))
    const notReady = take(group.flatMap(slice => addressesOf(slice, false)))
    if (addresses.length + notReady.length === 0) return []
    const list = JSON.parse(ports) as NonNullable<Subset['ports']>
    return [
      {
        ...(addresses.length === 0 ? {} : { addresses }),
        ...(notReady.length === 0 ? {} : { notReadyAddresses: notReady }),
        ...(list.length === 0 ? {} : { ports: list }),
      },
    ]
  })
  const headless = service.spec.clusterIP === 'None'
  return {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      labels: {
        ...labels,
        [MANAGED_BY_LABEL]: 'endpoint-controller',
        ...(headless ? { [HEADLESS_LABEL]: '' } : {}),
      },
      ...(truncated ? { annotations: { [OVER_CAPACITY]: 'truncated' } } : {}),
    },
    ...(subsets.length === 0 ? {} : { subsets }),
  }
}
