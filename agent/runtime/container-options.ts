/** What Docker is asked to make for a pod. Pure. */
import type { ContainerCreateOptions } from '#dockerode'
import { parseIpv4 } from '../../kit/index.ts'
import {
  BALANCER_DIRECTORY_VARIABLE,
  CONTAINER_LABELS_ANNOTATION,
  LABEL,
  METADATA_ADDRESS,
} from '../../protocol/index.ts'
import type { Container, Pod } from '../../protocol/kubernetes/index.ts'
import { resourceOptions } from './container-resources.ts'
import { DOCKER_LABEL, SANDBOX_NAME } from './docker-labels.ts'
import { expand } from './environment.ts'
import type { PlannedMount } from './pod-volumes.ts'
import { oomScore } from './quality-of-service.ts'
import {
  effectiveSecurity,
  processNamespace,
  securityOptions,
  sysctlsOf,
  userOf,
} from './security-options.ts'

/** What containers of a pod have in common. */
export interface PodPlace {
  readonly pod: Pod
  /** The agent's id, for the label that says whose containers these are. */
  readonly owner: string
  readonly pauseImage: string
  /** Where the agent keeps the configuration of the load balancer in a container. */
  readonly balancerDirectory: (containerUuid: string) => string
}

const DEFAULT_TERMINATION_PATH = '/dev/termination-log'

const DEFAULT_GRACE_PERIOD = 30
export function gracePeriodOf(pod: Pod): number {
  return (
    pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_PERIOD
  )
}

function hostnameOf(pod: Pod): string {
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
      ...sysctlsOf(pod),
      ...resourceOptions(undefined),
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'none', Config: {} },
      ...dnsOptions(pod),
    },
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

function bindOf({ source, target, readOnly, propagation }: PlannedMount): string {
  const options = [...(readOnly ? ['ro'] : []), ...(propagation === undefined ? [] : [propagation])]
  return [source, target, ...(options.length === 0 ? [] : [options.join(',')])].join(':')
}

/** Docker's name of a container: what people know from `docker ps`, or the kubelet's pattern for other pods. */
function dockerName(place: PodPlace, container: Container, attempt: number): string {
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
  /** Docker's id of the container whose processes it sees; those of its pod's specification when undefined. */
  readonly processesOf: string | undefined
  readonly podIp: string
  readonly macAddress: string | undefined
  /** The file that its containers see as /etc/hosts. */
  readonly hostsFile: string
  /** The file in which it may say why it ended. */
  readonly terminationFile: string
  readonly environment: ReadonlyMap<string, string>
  readonly mounts: readonly PlannedMount[]
  /** Content of the seccomp profile that it names; undefined when it names none. */
  readonly seccompProfile: string | undefined
  /** The user that the image names; empty for root. */
  readonly imageUser: string
  /** Bytes of the host: what a request is a share of. */
  readonly hostMemory: number
}

/** @throws `InvalidPod` when it asks for something that cannot be done */
export function containerOptions(place: ContainerPlace): ContainerCreateOptions {
  const { pod, container, attempt, sandboxId, podIp } = place
  const variables = new Map(place.environment)
  const security = effectiveSecurity(pod, container)
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
    ...userOf(security, place.imageUser),
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
      [DOCKER_LABEL.resources]: JSON.stringify(container.resources ?? {}),
    },
    HostConfig: {
      NetworkMode: `container:${sandboxId}`,
      IpcMode: `container:${sandboxId}`,
      ...(place.processesOf === undefined
        ? processNamespace(pod, sandboxId)
        : { PidMode: `container:${place.processesOf}` }),
      ...securityOptions(pod, security, place.seccompProfile),
      Binds: [
        ...place.mounts.map(bindOf),
        // A volume there takes its place.
        ...(place.mounts.some(({ target }) => target === '/etc/hosts')
          ? []
          : [`${place.hostsFile}:/etc/hosts`]),
        `${place.terminationFile}:${container.terminationMessagePath || DEFAULT_TERMINATION_PATH}`,
        ...balancerBinds(balancer),
      ],
      ...oomScore(pod, container, place.hostMemory),
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'json-file', Config: { 'max-size': '25m', 'max-file': '2' } },
      ...resourceOptions(container.resources),
    },
  }
}

/** The content of /etc/hosts inside the pod's containers. */
export function hostsFileText(pod: Pod, podIps: readonly string[]): string {
  const { subdomain } = pod.spec
  const name = hostnameOf(pod)
  const long = subdomain ? `${name}.${subdomain}.${pod.metadata.namespace}.svc.cluster.local\t` : ''
  const own = podIps.map(address => `${address}\t${long}${name}`)
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
