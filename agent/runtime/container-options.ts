/** What Docker is asked to make for a pod. Pure. */
import type { ContainerCreateOptions } from '#dockerode'
import { parseIpv4 } from '../../kit/index.ts'
import {
  BALANCER_DIRECTORY_VARIABLE,
  CONTAINER_LABELS_ANNOTATION,
  LABEL,
  METADATA_ADDRESS,
} from '../../protocol/index.ts'
import {
  type Container,
  type EnvironmentVariable,
  type Pod,
  parseQuantity,
} from '../../protocol/kubernetes/index.ts'
import { DOCKER_LABEL, SANDBOX_NAME } from './docker-labels.ts'
import { runtimeErrors } from './errors.ts'

/** What containers of a pod have in common. */
export interface PodPlace {
  readonly pod: Pod
  /** The agent's id, for the label that says whose containers these are. */
  readonly owner: string
  readonly pauseImage: string
  readonly hostIp: string
  readonly nodeName: string
  /** Where the agent keeps the configuration of the load balancer in a container. */
  readonly balancerDirectory: (containerUuid: string) => string
}

const DEFAULT_GRACE_PERIOD = 30
/** Share of CPU time that `resources.requests.cpu: 1` stands for (Docker's `--cpu-shares`). */
const SHARES_PER_CPU = 1024
/** Docker's minimum. */
const MINIMUM_SHARES = 2

export function gracePeriodOf(pod: Pod): number {
  return (
    pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_PERIOD
  )
}

export function hostnameOf(pod: Pod): string {
  return (pod.spec.hostname ?? pod.metadata.name).slice(0, 63).replace(/[-.]+$/, '')
}

function podLabels({ pod, owner }: PodPlace): Record<string, string> {
  return {
    [DOCKER_LABEL.podUid]: pod.metadata.uid ?? '',
    [DOCKER_LABEL.podName]: pod.metadata.name,
    [DOCKER_LABEL.podNamespace]: pod.metadata.namespace ?? '',
    [DOCKER_LABEL.gracePeriod]: String(pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_PERIOD),
    [DOCKER_LABEL.owner]: owner,
  }
}

/** The labels that the pod's author wants on each Docker container. */
export function requestedLabels(pod: Pod): Readonly<Record<string, Readonly<Record<string, string>>>> {
  const text = pod.metadata.annotations?.[CONTAINER_LABELS_ANNOTATION]
  if (text === undefined) return {}
  try {
    const parsed: unknown = JSON.parse(text)
    const fits =
      parsed !== null &&
      typeof parsed === 'object' &&
      Object.values(parsed).every(
        labels =>
          labels !== null &&
          typeof labels === 'object' &&
          Object.values(labels as object).every(value => typeof value === 'string'),
      )
    return fits ? (parsed as Record<string, Record<string, string>>) : {}
  } catch {
    // Anybody may write annotations; one that makes no sense asks for nothing.
    return {}
  }
}

/** Where names are looked up (Kubernetes documentation, "DNS for Services and Pods"). */
function dnsOptions(pod: Pod): { Dns?: string[]; DnsSearch?: string[]; DnsOptions?: string[] } {
  const { dnsConfig, dnsPolicy = 'ClusterFirst', hostNetwork } = pod.spec
  const options = (dnsConfig?.options ?? []).map(({ name, value }) =>
    value === undefined ? name : `${name}:${value}`,
  )
  const fromHost = dnsPolicy === 'Default' || (dnsPolicy === 'ClusterFirst' && hostNetwork === true)
  const namespace = pod.metadata.namespace ?? 'default'
  const base =
    fromHost || dnsPolicy === 'None'
      ? { nameservers: [], searches: [], options: [] }
      : {
          nameservers: [METADATA_ADDRESS],
          searches: [
            `${namespace}.svc.cluster.local`,
            'svc.cluster.local',
            'cluster.local',
            'discover.internal',
          ],
          options: ['ndots:5'],
        }
  const nameservers = [...new Set([...base.nameservers, ...(dnsConfig?.nameservers ?? [])])]
  const searches = [...new Set([...base.searches, ...(dnsConfig?.searches ?? [])])]
  const all = [...base.options, ...options]
  return {
    ...(nameservers.length === 0 ? {} : { Dns: nameservers }),
    ...(searches.length === 0 ? {} : { DnsSearch: searches }),
    ...(all.length === 0 ? {} : { DnsOptions: all }),
  }
}

/** The container that holds the pod's namespaces. */
export function sandboxOptions(place: PodPlace, attempt: number): ContainerCreateOptions {
  const { pod } = place
  const { name, namespace, uid } = pod.metadata
  return {
    name: `k8s_${SANDBOX_NAME}_${name}_${namespace}_${uid}_${attempt}`,
    Image: place.pauseImage,
    // It is the first process of its namespace and hears no other one: to stop Docker would take ten seconds.
    StopSignal: 'SIGKILL',
    ...(pod.spec.hostNetwork === true ? {} : { Hostname: hostnameOf(pod) }),
    Labels: {
      ...podLabels(place),
      [DOCKER_LABEL.type]: 'podsandbox',
      [DOCKER_LABEL.container]: SANDBOX_NAME,
      [DOCKER_LABEL.attempt]: String(attempt),
    },
    HostConfig: {
      NetworkMode: pod.spec.hostNetwork === true ? 'host' : 'none',
      IpcMode: pod.spec.hostIPC === true ? 'host' : 'shareable',
      CpuShares: MINIMUM_SHARES,
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'none', Config: {} },
      ...dnsOptions(pod),
    },
  }
}

function fieldValue(fieldPath: string, place: PodPlace, podIp: string): string {
  const { pod } = place
  const { metadata } = pod
  const indexed = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(fieldPath)
  if (indexed !== null) {
    return (indexed[1] === 'labels' ? metadata.labels : metadata.annotations)?.[indexed[2] ?? ''] ?? ''
  }
  const values: Readonly<Record<string, string>> = {
    'metadata.name': metadata.name,
    'metadata.namespace': metadata.namespace ?? '',
    'metadata.uid': metadata.uid ?? '',
    'spec.nodeName': place.nodeName,
    'status.hostIP': place.hostIp,
    'status.podIP': podIp,
  }
  const value = values[fieldPath]
  if (value === undefined) {
    throw runtimeErrors.InvalidPod({
      object: `pod ${metadata.name}`,
      message: `the field ${fieldPath} has no value`,
    })
  }
  return value
}

/** Replaces `$(NAME)` by the value of a variable defined before; `$$(NAME)` stays as `$(NAME)`. */
function expand(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replace(/\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)/g, (whole, name: string | undefined) => {
    if (name === undefined) return '$'
    return variables.get(name) ?? whole
  })
}

function environment(
  entries: readonly EnvironmentVariable[],
  place: PodPlace,
  podIp: string,
): Map<string, string> {
  const variables = new Map<string, string>()
  for (const { name, value, valueFrom } of entries) {
    if (valueFrom?.fieldRef !== undefined) {
      variables.set(name, fieldValue(valueFrom.fieldRef.fieldPath, place, podIp))
    } else if (valueFrom !== undefined) {
      throw runtimeErrors.InvalidPod({
        object: `pod ${place.pod.metadata.name}`,
        message: `the value of ${name} comes from a source that this version does not read`,
      })
    } else variables.set(name, expand(value ?? '', variables))
  }
  return variables
}

function quantity(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseQuantity(text)
}

function resourceOptions(container: Container): { Memory?: number; NanoCpus?: number; CpuShares: number } {
  const { limits, requests } = container.resources ?? {}
  const memory = quantity(limits?.memory)
  const cpuLimit = quantity(limits?.cpu)
  const cpuRequest = quantity(requests?.cpu)
  return {
    ...(memory === undefined || memory === 0 ? {} : { Memory: Math.round(memory) }),
    ...(cpuLimit === undefined || cpuLimit === 0 ? {} : { NanoCpus: Math.round(cpuLimit * 1e9) }),
    CpuShares: Math.max(MINIMUM_SHARES, Math.round((cpuRequest ?? 0) * SHARES_PER_CPU)),
  }
}

/** The directory of the balancer that the container is to be; undefined when it is none. */
function balancerOf({ pod, balancerDirectory }: PodPlace, container: Container): string | undefined {
  const labels = requestedLabels(pod)[container.name]
  const uuid = labels?.[LABEL.containerUuid] ?? ''
  // Anybody may write annotations: the uuid becomes part of a path.
  return labels?.[LABEL.balancer] === 'true' && /^[0-9a-f-]{36}$/.test(uuid)
    ? balancerDirectory(uuid)
    : undefined
}

/** HAProxy reads what the agent writes, and only its sockets are for both to write. */
function balancerBinds(directory: string | undefined): string[] {
  return directory === undefined
    ? []
    : [`${directory}:${directory}:ro`, `${directory}/sockets:${directory}/sockets`]
}

function binds(container: Container, pod: Pod, hostsFile: string): string[] {
  const paths = (container.volumeMounts ?? []).map(mount => {
    const volume = pod.spec.volumes?.find(({ name }) => name === mount.name)
    if (volume?.hostPath === undefined) {
      throw runtimeErrors.InvalidPod({
        object: `pod ${pod.metadata.name}`,
        message: `the volume ${mount.name} is of a type that this version does not mount`,
      })
    }
    return `${volume.hostPath.path}:${mount.mountPath}${mount.readOnly === true ? ':ro' : ''}`
  })
  return [...paths, `${hostsFile}:/etc/hosts`]
}

/** Docker's name of a container: what people know from `docker ps`, or the kubelet's pattern for other pods. */
export function dockerName(place: PodPlace, container: Container, attempt: number): string {
  const { pod } = place
  const labels = requestedLabels(pod)[container.name]
  const uuid = labels?.[LABEL.containerUuid]
  const name = labels?.[LABEL.containerName]
  if (uuid === undefined || name === undefined) {
    const { name: podName, namespace, uid } = pod.metadata
    return `k8s_${container.name}_${podName}_${namespace}_${uid}_${attempt}`
  }
  const suffix = attempt === 0 ? '' : `-${attempt}`
  return `r-${name.replace(/[^a-zA-Z0-9_.-]+/g, '-')}-${uuid.slice(0, 8)}${suffix}`
}

/** What one container of the pod runs as. */
export interface ContainerPlace extends PodPlace {
  readonly container: Container
  readonly attempt: number
  readonly sandboxId: string
  readonly podIp: string
  readonly macAddress: string | undefined
  /** The file that its containers see as /etc/hosts. */
  readonly hostsFile: string
}

/** @throws `InvalidPod` when it asks for something that cannot be done */
export function containerOptions(place: ContainerPlace): ContainerCreateOptions {
  const { pod, container, attempt, sandboxId, podIp } = place
  const variables = environment(container.env ?? [], place, podIp)
  const security = container.securityContext ?? {}
  const user = [security.runAsUser, security.runAsGroup].filter(id => id !== undefined).join(':')
  const address = parseIpv4(podIp) === undefined ? {} : { [LABEL.containerIp]: podIp }
  const balancer = balancerOf(place, container)
  if (balancer !== undefined) variables.set(BALANCER_DIRECTORY_VARIABLE, balancer)
  return {
    name: dockerName(place, container, attempt),
    Image: container.image,
    ...(container.command === undefined
      ? {}
      : { Entrypoint: container.command.map(word => expand(word, variables)) }),
    ...(container.args === undefined ? {} : { Cmd: container.args.map(word => expand(word, variables)) }),
    Env: [...variables].map(([name, value]) => `${name}=${value}`),
    ...(container.workingDir === undefined ? {} : { WorkingDir: container.workingDir }),
    ...(user === '' ? {} : { User: user }),
    Tty: container.tty === true,
    OpenStdin: container.stdin === true,
    StdinOnce: container.stdinOnce === true,
    Labels: {
      ...requestedLabels(pod)[container.name],
      ...podLabels(place),
      ...address,
      ...(place.macAddress === undefined ? {} : { [LABEL.containerMacAddress]: place.macAddress }),
      [DOCKER_LABEL.type]: 'container',
      [DOCKER_LABEL.container]: container.name,
      [DOCKER_LABEL.attempt]: String(attempt),
      [DOCKER_LABEL.sandbox]: sandboxId,
    },
    HostConfig: {
      NetworkMode: `container:${sandboxId}`,
      IpcMode: `container:${sandboxId}`,
      ...(pod.spec.hostPID === true ? { PidMode: 'host' } : {}),
      Privileged: security.privileged === true,
      ReadonlyRootfs: security.readOnlyRootFilesystem === true,
      CapAdd: security.capabilities?.add ?? [],
      CapDrop: security.capabilities?.drop ?? [],
      Binds: [...binds(container, pod, place.hostsFile), ...balancerBinds(balancer)],
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'json-file', Config: { 'max-size': '25m', 'max-file': '2' } },
      ...resourceOptions(container),
    },
  }
}

/** The content of /etc/hosts inside the pod's containers. */
export function hostsFileText(pod: Pod, podIp: string): string {
  const own = podIp === '' ? [] : [`${podIp}\t${hostnameOf(pod)}`]
  const aliases = (pod.spec.hostAliases ?? []).map(({ ip, hostnames }) => `${ip}\t${hostnames.join('\t')}`)
  return [
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'ff02::1\tip6-allnodes',
    'ff02::2\tip6-allrouters',
    ...own,
    ...aliases,
    '',
  ].join('\n')
}
