/** What an agent tells of itself to those who collect metrics: read from its parts when somebody asks. */
import type { QueryCounts } from '../dns/index.ts'
import { type Metric, MetricsRegistry, type Sample } from '../kit/metrics/index.ts'
import type { PeerState } from '../netplugins/overlay/index.ts'
import type { BalancerReport, BalancerStatistics } from '../protocol/index.ts'
import type { MetadataServer } from './metadata/index.ts'

/** As much of the agent's parts as metrics are made of. */
export interface MeasuredParts {
  readonly metadata: Pick<MetadataServer, 'counts' | 'waiting'>
  readonly replica: {
    readonly model: { readonly size: number }
    readonly position: { readonly sequence: number } | undefined
    readonly fullSyncs: number
  }
  readonly dns: { readonly counts: Readonly<QueryCounts> }
  readonly network: {
    readonly kind: string
    readonly failure: string | undefined
    peerStates(): readonly PeerState[]
    attachments(): readonly unknown[]
  }
  readonly balancers: { reports(): readonly BalancerReport[] }
}

const PEER_STATES: readonly PeerState['state'][] = ['up', 'connecting', 'down', 'refused']

function byLabel(label: string, values: Readonly<Record<string, number>>): readonly Sample[] {
  return Object.entries(values).map(([name, value]) => ({ labels: { [label]: name }, value }))
}

function metadataMetrics({ metadata, replica }: MeasuredParts): readonly Metric[] {
  const { counts } = metadata
  return [
    {
      name: 'drover_metadata_requests_total',
      help: 'Metadata requests that were answered, by outcome.',
      type: 'counter',
      read: () =>
        byLabel('outcome', {
          answered: counts.answered,
          stream: counts.streams,
          not_found: counts.notFound,
          refused: counts.refused,
          malformed: counts.malformed,
          unavailable: counts.unavailable,
          failed: counts.failed,
        }),
    },
    {
      name: 'drover_metadata_waiting',
      help: 'Metadata requests that wait for a change, or until it is known who asks.',
      type: 'gauge',
      read: () => metadata.waiting,
    },
    {
      name: 'drover_metadata_objects',
      help: 'Objects in this host’s copy of the metadata.',
      type: 'gauge',
      read: () => replica.model.size,
    },
    {
      name: 'drover_metadata_sequence',
      help: 'Number of the newest change in the copy; absent while it is incomplete.',
      type: 'gauge',
      read: () => replica.position?.sequence,
    },
    {
      name: 'drover_metadata_full_syncs_total',
      help: 'Times that the server sent all metadata.',
      type: 'counter',
      read: () => replica.fullSyncs,
    },
  ]
}

function dnsMetrics({ dns }: MeasuredParts): readonly Metric[] {
  return [
    {
      name: 'drover_dns_queries_total',
      help: 'DNS queries by outcome: own (from memory), forwarded (answered by others), refused, failed.',
      type: 'counter',
      read: () => {
        const { own, forwarded, refused, failed } = dns.counts
        return byLabel('outcome', { own, forwarded, refused, failed })
      },
    },
    {
      name: 'drover_dns_forward_seconds',
      help: 'Time until others answered a DNS query.',
      type: 'histogram',
      read: () => dns.counts.forwardTimes,
    },
  ]
}

function networkMetrics({ network }: MeasuredParts): readonly Metric[] {
  return [
    {
      name: 'drover_network_info',
      help: 'The kind of network that this host has.',
      type: 'gauge',
      read: () => byLabel('kind', { [network.kind]: 1 }),
    },
    {
      name: 'drover_network_healthy',
      help: 'Whether the network is as it should be.',
      type: 'gauge',
      read: () => (network.failure === undefined ? 1 : 0),
    },
    {
      name: 'drover_network_attachments',
      help: 'Container interfaces on this host.',
      type: 'gauge',
      read: () => network.attachments().length,
    },
    {
      name: 'drover_network_peers',
      help: 'Other hosts, by how the way to them is.',
      type: 'gauge',
      read: () => {
        const peers = network.peerStates()
        return PEER_STATES.map(state => ({
          labels: { state },
          value: peers.filter(peer => peer.state === state).length,
        }))
      },
    },
  ]
}

type BalancerPart = BalancerStatistics & { readonly container: string }

function balancerMetrics({ balancers }: MeasuredParts): readonly Metric[] {
  const parts = () =>
    balancers
      .reports()
      .flatMap(({ containerUuid, statistics }) =>
        statistics.map((each): BalancerPart => ({ ...each, container: containerUuid })),
      )
  const labels = ({ container, kind, name }: BalancerPart) => ({ container, kind, name })
  const of = (value: (part: BalancerPart) => number | undefined) => (): readonly Sample[] =>
    parts().flatMap(part => {
      const found = value(part)
      return found === undefined ? [] : [{ labels: labels(part), value: found }]
    })
  return [
    {
      name: 'drover_balancer_problems',
      help: 'What stands in the way of what a load balancer was told to do.',
      type: 'gauge',
      read: () =>
        balancers.reports().map(({ containerUuid, problems }) => ({
          labels: { container: containerUuid },
          value: problems.length,
        })),
    },
    {
      name: 'drover_balancer_sessions',
      help: 'Connections and requests in progress.',
      type: 'gauge',
      read: of(({ sessions }) => sessions),
    },
    {
      name: 'drover_balancer_servers_up',
      help: 'Servers of a backend that get requests.',
      type: 'gauge',
      read: of(({ serversUp }) => serversUp),
    },
    {
      name: 'drover_balancer_requests_total',
      help: 'HTTP requests since the newest configuration.',
      type: 'counter',
      read: of(({ requestsTotal }) => requestsTotal),
    },
    {
      name: 'drover_balancer_bytes_total',
      help: 'Bytes since the newest configuration, from clients and to them.',
      type: 'counter',
      read: () =>
        parts().flatMap(part => [
          { labels: { ...labels(part), direction: 'in' }, value: part.bytesIn },
          { labels: { ...labels(part), direction: 'out' }, value: part.bytesOut },
        ]),
    },
    {
      name: 'drover_balancer_responses_total',
      help: 'HTTP answers since the newest configuration, by the first digit of their status.',
      type: 'counter',
      read: () =>
        parts().flatMap(part =>
          Object.entries(part.responses).map(([status, value]) => ({
            labels: { ...labels(part), status },
            value,
          })),
        ),
    },
    {
      name: 'drover_balancer_errors_total',
      help: 'Connections that came to nothing since the newest configuration.',
      type: 'counter',
      read: of(({ connectionErrors }) => connectionErrors),
    },
  ]
}

const processMetrics: readonly Metric[] = [
  {
    name: 'process_resident_memory_bytes',
    help: 'Memory of the agent.',
    type: 'gauge',
    read: () => process.memoryUsage.rss(),
  },
  {
    name: 'process_cpu_seconds_total',
    help: 'CPU time of the agent.',
    type: 'counter',
    read: () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1e6
    },
  },
  {
    name: 'process_start_time_seconds',
    help: 'When the agent was started, since 1970.',
    type: 'gauge',
    read: () => performance.timeOrigin / 1000,
  },
]

export function agentMetrics(parts: MeasuredParts): MetricsRegistry {
  const registry = new MetricsRegistry()
  registry.add(
    ...metadataMetrics(parts),
    ...dnsMetrics(parts),
    ...networkMetrics(parts),
    ...balancerMetrics(parts),
    ...processMetrics,
  )
  return registry
}
