/** A deployment unit as a Kubernetes pod. Pure. */
import { dnsLabel } from '../../dns/index.ts'
import { CONTAINER_LABELS_ANNOTATION, LABEL, METADATA_ADDRESS, POD_LABEL } from '../../protocol/index.ts'
import type { Pod, Container as PodContainer, PodSpec, Volume } from '../../protocol/kubernetes/index.ts'
import type { UnitBundle } from '../controller/index.ts'
import type { Container, LaunchConfig, Project, Stack } from '../model/index.ts'

const RESTART_POLICY = { always: 'Always', 'on-failure': 'OnFailure', no: 'Never' } as const

/** The longest name that a Kubernetes container may have. */
const NAME_LENGTH = 63
const UUID_LENGTH = 36

/** `<name>-<uuid>`: readable, and the uuid can be read back from its end. */
export function podContainerName(container: Pick<Container, 'name' | 'uuid'>): string {
  const readable = dnsLabel(container.name).slice(0, NAME_LENGTH - UUID_LENGTH - 1)
  return `${readable.replace(/-+$/, '')}-${container.uuid}`
}

/** The uuid at the end of a name that `podContainerName` made. */
export function containerUuidOf(podContainer: string): string {
  return podContainer.slice(-UUID_LENGTH)
}

/** The names that a container of the stack can leave out. */
export function searchDomains(stack: Stack, project: Project, additional: readonly string[]): string[] {
  const environment = `${dnsLabel(project.name)}.discover.internal`
  return [
    ...additional,
    `${dnsLabel(stack.name)}.${environment}`,
    environment,
    'discover.internal',
    'rancher.internal',
  ]
}

function isLabelValue(value: string): boolean {
  return value.length <= 63 && /^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$/.test(value)
}

function isLabelName(name: string): boolean {
  return /^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/.test(name)
}

/** Labels that Kubernetes takes as they are; the others stay on the containers only. */
function podLabels(bundle: UnitBundle): Record<string, string> {
  const user = Object.entries(bundle.service.launchConfig.labels).filter(
    ([name, value]) => isLabelName(name) && isLabelValue(value),
  )
  return {
    ...Object.fromEntries(user),
    [POD_LABEL.deploymentUnit]: bundle.unit.uuid,
    [POD_LABEL.spreadGroup]: bundle.service.uuid,
  }
}

function volumeName(hostPath: string, all: readonly string[]): string {
  return `bind-${all.indexOf(hostPath)}`
}

function resources(config: LaunchConfig): NonNullable<PodContainer['resources']> {
  const limits: Record<string, string> = {}
  const requests: Record<string, string> = {}
  if (config.memory !== undefined) limits.memory = String(config.memory)
  if (config.milliCpu !== undefined) limits.cpu = `${config.milliCpu}m`
  if (config.memoryReservation !== undefined) requests.memory = String(config.memoryReservation)
  if (config.milliCpuReservation !== undefined) requests.cpu = `${config.milliCpuReservation}m`
  // Kubernetes takes a limit for the request when none is given; that would reserve what was meant as a ceiling.
  if (limits.memory !== undefined) requests.memory ??= '0'
  if (limits.cpu !== undefined) requests.cpu ??= '0'
  return { limits, requests }
}

function securityContext(config: LaunchConfig): NonNullable<PodContainer['securityContext']> {
  const [user, group] = (config.user ?? '').split(':')
  return {
    ...(config.privileged ? { privileged: true } : {}),
    ...(config.readOnly ? { readOnlyRootFilesystem: true } : {}),
    ...(user === undefined || user === '' ? {} : { runAsUser: Number(user) }),
    ...(group === undefined || group === '' ? {} : { runAsGroup: Number(group) }),
    ...(config.capAdd.length + config.capDrop.length === 0
      ? {}
      : { capabilities: { add: [...config.capAdd], drop: [...config.capDrop] } }),
  }
}

function podContainer(
  container: Container,
  config: LaunchConfig,
  hostPaths: readonly string[],
): PodContainer {
  return {
    name: podContainerName(container),
    image: config.image,
    imagePullPolicy: config.labels[LABEL.containerPullImage] === 'always' ? 'Always' : 'IfNotPresent',
    ...(config.entryPoint === undefined ? {} : { command: [...config.entryPoint] }),
    ...(config.command === undefined ? {} : { args: [...config.command] }),
    ...(config.workingDir === undefined ? {} : { workingDir: config.workingDir }),
    env: Object.entries(config.environment).map(([name, value]) => ({ name, value })),
    ports: config.ports.map(port => ({
      containerPort: port.privatePort,
      hostPort: port.publicPort,
      protocol: port.protocol === 'udp' ? ('UDP' as const) : ('TCP' as const),
      ...(port.address === undefined ? {} : { hostIP: port.address }),
    })),
    resources: resources(config),
    securityContext: securityContext(config),
    volumeMounts: config.binds.map(bind => ({
      name: volumeName(bind.hostPath, hostPaths),
      mountPath: bind.containerPath,
      ...(bind.readOnly ? { readOnly: true } : {}),
    })),
    ...(config.stdinOpen ? { stdin: true } : {}),
    ...(config.tty ? { tty: true } : {}),
  }
}

function hostAliases(extraHosts: readonly string[]): NonNullable<PodSpec['hostAliases']> {
  const names = new Map<string, string[]>()
  for (const entry of extraHosts) {
    const colon = entry.indexOf(':')
    const ip = entry.slice(colon + 1)
    names.set(ip, [...(names.get(ip) ?? []), entry.slice(0, colon)])
  }
  return [...names].map(([ip, hostnames]) => ({ ip, hostnames }))
}

/** Where the pod's containers look names up. On the host's network they see what the host sees. */
function dns(bundle: UnitBundle): Pick<PodSpec, 'dnsPolicy' | 'dnsConfig'> {
  const { launchConfig } = bundle.service
  const wanted = launchConfig.labels[LABEL.containerDns]
  if (wanted === 'false' || (launchConfig.networkMode === 'host' && wanted !== 'true'))
    return { dnsPolicy: 'Default' }
  return {
    dnsPolicy: 'None',
    dnsConfig: {
      nameservers: [METADATA_ADDRESS],
      searches: searchDomains(bundle.stack, bundle.project, launchConfig.dnsSearch),
      options: [{ name: 'ndots', value: '2' }],
    },
  }
}

/** The pod of a deployment unit. */
export function podManifest(bundle: UnitBundle): Pod {
  const { unit, service, project, containers } = bundle
  const configs = [service.launchConfig, ...service.secondaryLaunchConfigs]
  const configOf = new Map(configs.map(config => [config.name, config]))
  const pairs = containers.flatMap(container => {
    const config = configOf.get(container.launchConfigName ?? '')
    return config === undefined ? [] : [{ container, config }]
  })
  const hostPaths = [...new Set(configs.flatMap(config => config.binds.map(bind => bind.hostPath)))]
  const volumes: Volume[] = hostPaths.map(path => ({ name: volumeName(path, hostPaths), hostPath: { path } }))
  const labels = Object.fromEntries(
    pairs.map(({ container }) => [podContainerName(container), container.labels]),
  )
  const primary = service.launchConfig
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: unit.externalId,
      namespace: project.externalId,
      labels: podLabels(bundle),
      annotations: { [CONTAINER_LABELS_ANNOTATION]: JSON.stringify(labels) },
    },
    spec: {
      containers: pairs.map(({ container, config }) => podContainer(container, config, hostPaths)),
      restartPolicy: RESTART_POLICY[primary.restart],
      terminationGracePeriodSeconds: Math.max(...configs.map(config => config.stopTimeout)),
      hostname: dnsLabel(primary.hostname ?? unit.name),
      ...(primary.networkMode === 'host' ? { hostNetwork: true } : {}),
      ...dns(bundle),
      hostAliases: hostAliases(primary.extraHosts),
      volumes,
      automountServiceAccountToken: false,
      // What becomes of a lost host's containers is decided by their services' own rules.
      tolerations: ['not-ready', 'unreachable'].map(state => ({
        key: `node.kubernetes.io/${state}`,
        operator: 'Exists',
        effect: 'NoExecute',
      })),
      enableServiceLinks: false,
    },
  }
}
