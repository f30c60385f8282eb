/** What a cluster tells those who collect metrics: `/metrics`, with Kubernetes' names. */
import { MetricsRegistry, type Sample } from '../../../../kit/metrics/index.ts'
import type { Catalog } from '../catalog/index.ts'
import type { RequestMetrics } from './request-metrics.ts'

/** When this process began, in seconds since 1970. */
const STARTED = (Date.now() - process.uptime() * 1000) / 1000

export interface MeasuredCluster {
  readonly requests: RequestMetrics
  readonly catalog: Catalog
  readonly space: {
    count(kind: string): number
    usage(): { readonly objects: number; readonly length: number }
  }
}

function objects({ catalog, space }: MeasuredCluster): readonly Sample[] {
  return catalog.keptResources().map(({ group, resource, kept }) => ({
    labels: { resource: group === '' ? resource : `${resource}.${group}` },
    value: space.count(kept.storeKind),
  }))
}

function processorSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000_000
}

/** The text for Prometheus, as it is now. No cluster is named: who may read it has asked for this one. */
export function clusterMetrics(cluster: MeasuredCluster): string {
  const { requests, catalog, space } = cluster
  const registry = new MetricsRegistry()
  registry.add(
    {
      name: 'apiserver_request_total',
      help: 'Requests that were answered, by verb, dry run, group, version, resource, scope, component, and status of the answer.',
      type: 'counter',
      read: () => requests.answers(),
    },
    {
      name: 'apiserver_request_duration_seconds',
      help: 'How long answers took, by verb, dry run, group, version, resource, subresource, scope and component.',
      type: 'histogram',
      read: () => requests.durations(),
    },
    {
      name: 'apiserver_current_inflight_requests',
      help: 'Requests that are being answered, apart from those that last.',
      type: 'gauge',
      read: () => requests.inflight(),
    },
    {
      name: 'apiserver_longrunning_requests',
      help: 'Watches and streams that are open.',
      type: 'gauge',
      read: () => requests.lasting(),
    },
    {
      name: 'apiserver_registered_watchers',
      help: 'Open watches, by group, version and kind.',
      type: 'gauge',
      read: () => requests.watchers(),
    },
    {
      name: 'apiserver_storage_objects',
      help: 'Objects that are kept, by resource.',
      type: 'gauge',
      read: () => objects(cluster),
    },
    {
      name: 'apiserver_storage_size_bytes',
      help: 'Length of the JSON of all objects that are kept.',
      type: 'gauge',
      read: () => space.usage().length,
    },
    {
      name: 'kubernetes_build_info',
      help: 'The version that the cluster speaks; always 1.',
      type: 'gauge',
      read: () => {
        const [major = '', minor = ''] = catalog.version.split('.')
        return [{ labels: { major, minor, git_version: `v${catalog.version}.0+drover` }, value: 1 }]
      },
    },
    {
      name: 'process_cpu_seconds_total',
      help: 'Processor time of the server, which may have other clusters too.',
      type: 'counter',
      read: processorSeconds,
    },
    {
      name: 'process_resident_memory_bytes',
      help: 'Memory of the server, which may have other clusters too.',
      type: 'gauge',
      read: () => process.memoryUsage.rss(),
    },
    {
      name: 'process_start_time_seconds',
      help: 'When the server started, in seconds since 1970.',
      type: 'gauge',
      read: () => STARTED,
    },
  )
  return registry.text()
}
