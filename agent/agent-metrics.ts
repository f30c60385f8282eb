/** What an agent tells of itself to those who collect metrics: read from its parts when somebody asks. */
import type { QueryCounts } from '../dns/index.ts'
import { type Metric, MetricsRegistry, type Sample } from '../kit/metrics/index.ts'
import type { PeerState } from '../netplugins/overlay/index.ts'
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
  registry.add(...metadataMetrics(parts), ...dnsMetrics(parts), ...networkMetrics(parts), ...processMetrics)
  return registry
}
