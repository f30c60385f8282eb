/** What the host and its pods use, as kubelets tell it: `/stats/summary` and `/metrics/resource`. Pure. */
import { MetricsRegistry, type Sample } from '../../kit/metrics/index.ts'

/** Of a container, or of the host. */
export interface Use {
  /** Of one processor, since it began. */
  readonly processorNanoseconds: number
  /** Bytes, with what could be given back. */
  readonly memory: number
  /** Bytes that are needed. */
  readonly workingSet: number
}

export interface ContainerUse extends Use {
  readonly name: string
  /** ISO 8601; undefined where Docker does not say. */
  readonly startedAt: string | undefined
}

export interface PodUse {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** ISO 8601. */
  readonly startedAt: string | undefined
  readonly containers: readonly ContainerUse[]
}

export interface HostUse extends Use {
  readonly nodeName: string
  /** Bytes. */
  readonly totalMemory: number
  /** ISO 8601: when the host began. */
  readonly startedAt: string
  readonly pods: readonly PodUse[]
}

function told({ processorNanoseconds, memory, workingSet }: Use, time: string) {
  return {
    cpu: { time, usageCoreNanoSeconds: processorNanoseconds },
    memory: { time, usageBytes: memory, workingSetBytes: workingSet },
  }
}

function sumOf(containers: readonly ContainerUse[]): Use {
  const sum = (field: keyof Use) => containers.reduce((total, container) => total + container[field], 0)
  return {
    processorNanoseconds: sum('processorNanoseconds'),
    memory: sum('memory'),
    workingSet: sum('workingSet'),
  }
}

function started(startedAt: string | undefined) {
  return startedAt === undefined ? {} : { startTime: startedAt }
}

/** `GET /stats/summary` (kubelet's stats/v1alpha1 `Summary`): what Docker and the kernel know. @param time ISO 8601 */
export function usageSummary(host: HostUse, time: string): object {
  const { cpu, memory } = told(host, time)
  return {
    node: {
      nodeName: host.nodeName,
      startTime: host.startedAt,
      cpu,
      memory: { ...memory, availableBytes: Math.max(0, host.totalMemory - host.workingSet) },
    },
    pods: host.pods.map(({ namespace, name, uid, startedAt, containers }) => ({
      podRef: { name, namespace, uid },
      ...started(startedAt),
      ...told(sumOf(containers), time),
      containers: containers.map(container => ({
        name: container.name,
        ...started(container.startedAt),
        ...told(container, time),
      })),
    })),
  }
}

/** `GET /metrics/resource`: the same for those who collect it. */
export function usageMetrics(host: HostUse): string {
  const registry = new MetricsRegistry()
  const containers = host.pods.flatMap(({ namespace, name: pod, containers: own }) =>
    own.map(use => ({ labels: { container: use.name, namespace, pod }, use })),
  )
  const pods = host.pods.map(({ namespace, name: pod, containers: own }) => ({
    labels: { namespace, pod },
    use: sumOf(own),
  }))
  const samples = (of: readonly { labels: Sample['labels']; use: Use }[], value: (use: Use) => number) =>
    of.map(({ labels, use }) => ({ labels, value: value(use) }))
  const seconds = (use: Use) => use.processorNanoseconds / 1e9
  const needed = (use: Use) => use.workingSet
  registry.add(
    {
      name: 'container_cpu_usage_seconds_total',
      help: 'Processor time of the container.',
      type: 'counter',
      read: () => samples(containers, seconds),
    },
    {
      name: 'container_memory_working_set_bytes',
      help: 'Memory that the container needs.',
      type: 'gauge',
      read: () => samples(containers, needed),
    },
    {
      name: 'container_start_time_seconds',
      help: 'When the container began, in seconds since 1970.',
      type: 'gauge',
      read: () =>
        containers.flatMap(({ labels, use }) =>
          use.startedAt === undefined ? [] : [{ labels, value: Date.parse(use.startedAt) / 1000 }],
        ),
    },
    {
      name: 'pod_cpu_usage_seconds_total',
      help: 'Processor time of the containers of the pod.',
      type: 'counter',
      read: () => samples(pods, seconds),
    },
    {
      name: 'pod_memory_working_set_bytes',
      help: 'Memory that the containers of the pod need.',
      type: 'gauge',
      read: () => samples(pods, needed),
    },
    {
      name: 'node_cpu_usage_seconds_total',
      help: 'Processor time of the host.',
      type: 'counter',
      read: () => seconds(host),
    },
    {
      name: 'node_memory_working_set_bytes',
      help: 'Memory of the host that is needed.',
      type: 'gauge',
      read: () => needed(host),
    },
    { name: 'scrape_error', help: 'Always 0: what fails is answered as such.', type: 'gauge', read: () => 0 },
  )
  return registry.text()
}
