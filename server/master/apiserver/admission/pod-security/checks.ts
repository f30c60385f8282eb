/** The controls of the Pod Security Standards, one by one: each says what a pod does against it, or nothing. */
import { containersOf, type SecuredContainer, type SecuredPod, type SecurityContext } from './secured-pod.ts'

/** What is wrong: `privileged (container "main" must not set …)`. */
export type Check = (pod: SecuredPod) => string | undefined

const BASELINE_CAPABILITIES = new Set([
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
])
const SAFE_SYSCTLS = new Set([
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ping_group_range',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.tcp_wmem',
])
const SELINUX_TYPES = new Set([
  '',
  'container_t',
  'container_init_t',
  'container_kvm_t',
  'container_engine_t',
])
const RESTRICTED_VOLUMES = new Set([
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'image',
  'persistentVolumeClaim',
  'projected',
  'secret',
])
const APP_ARMOR = 'container.apparmor.security.beta.kubernetes.io/'

function quoted(names: readonly string[]): string {
  return [...new Set(names)].map(name => JSON.stringify(name)).join(', ')
}

function plural(word: string, names: readonly string[]): string {
  return names.length === 1 ? word : `${word}s`
}

function containers(names: readonly string[]): string {
  return `${plural('container', names)} ${quoted(names)}`
}

function offenders(pod: SecuredPod, offends: (container: SecuredContainer) => boolean): string[] {
  return containersOf(pod.spec)
    .filter(offends)
    .map(({ name }) => name)
}

/** A control that containers break one by one. */
function perContainer(
  offends: (container: SecuredContainer) => boolean,
  tell: (names: string, offending: readonly SecuredContainer[]) => string,
): Check {
  return pod => {
    const offending = containersOf(pod.spec).filter(offends)
    return offending.length === 0 ? undefined : tell(containers(offending.map(({ name }) => name)), offending)
  }
}

/** Names of all, sorted, each once. */
function gather(
  offending: readonly SecuredContainer[],
  pick: (container: SecuredContainer) => readonly string[],
) {
  return quoted(offending.flatMap(container => [...pick(container)]).toSorted())
}

const added = ({ securityContext }: SecuredContainer) => securityContext?.capabilities?.add ?? []

const allowPrivilegeEscalation = perContainer(
  ({ securityContext }) => securityContext?.allowPrivilegeEscalation !== false,
  names =>
    `allowPrivilegeEscalation != false (${names} must set securityContext.allowPrivilegeEscalation=false)`,
)

const appArmor: Check = pod => {
  const bad: string[] = []
  const forbiddenType = (context: SecurityContext | undefined) =>
    context?.appArmorProfile?.type === 'Unconfined'
  for (const [key, value] of Object.entries(pod.annotations)) {
    if (!key.startsWith(APP_ARMOR) || value === '' || value === 'runtime/default') continue
    if (!value.startsWith('localhost/')) bad.push(`annotation ${JSON.stringify(`${key}=${value}`)}`)
  }
  if (forbiddenType(pod.spec.securityContext))
    bad.unshift('pod must not set AppArmor profile type to "Unconfined"')
  const names = offenders(pod, ({ securityContext }) => forbiddenType(securityContext))
  if (names.length > 0) bad.push(`${containers(names)} must not set AppArmor profile type to "Unconfined"`)
  return bad.length === 0 ? undefined : `forbidden ${plural('AppArmor profile', bad)} (${bad.join('; ')})`
}

const baselineCapabilities = perContainer(
  container => added(container).some(name => !BASELINE_CAPABILITIES.has(name)),
  (names, offending) => {
    const wrong = gather(offending, each => added(each).filter(name => !BASELINE_CAPABILITIES.has(name)))
    return `non-default capabilities (${names} must not include ${wrong} in securityContext.capabilities.add)`
  },
)

const restrictedCapabilities: Check = pod => {
  const undropped = offenders(
    pod,
    ({ securityContext }) => securityContext?.capabilities?.drop?.includes('ALL') !== true,
  )
  const adding = containersOf(pod.spec).filter(each => added(each).some(name => name !== 'NET_BIND_SERVICE'))
  const wrong: string[] = []
  if (undropped.length > 0) {
    wrong.push(`${containers(undropped)} must set securityContext.capabilities.drop=["ALL"]`)
  }
  if (adding.length > 0) {
    const which = gather(adding, each => added(each).filter(name => name !== 'NET_BIND_SERVICE'))
    const names = containers(adding.map(({ name }) => name))
    wrong.push(`${names} must not include ${which} in securityContext.capabilities.add`)
  }
  return wrong.length === 0 ? undefined : `unrestricted capabilities (${wrong.join('; ')})`
}

const hostNamespaces: Check = ({ spec }) => {
  const used = (['hostNetwork', 'hostPID', 'hostIPC'] as const).filter(field => spec[field] === true)
  return used.length === 0 ? undefined : `host namespaces (${used.map(field => `${field}=true`).join(', ')})`
}

const hostPathVolumes: Check = ({ spec }) => {
  const names = (spec.volumes ?? [])
    .filter(({ hostPath }) => hostPath !== undefined)
    .map(({ name }) => String(name))
  return names.length === 0 ? undefined : `hostPath volumes (${plural('volume', names)} ${quoted(names)})`
}

const hostPortsOf = ({ ports }: SecuredContainer) =>
  (ports ?? []).flatMap(({ hostPort = 0 }) => (hostPort === 0 ? [] : [hostPort]))

const hostPorts = perContainer(
  container => hostPortsOf(container).length > 0,
  (names, offending) => {
    const ports = [...new Set(offending.flatMap(hostPortsOf))].sort((a, b) => a - b)
    const verb = offending.length === 1 ? 'uses' : 'use'
    return `hostPort (${names} ${verb} ${ports.length === 1 ? 'hostPort' : 'hostPorts'} ${ports.join(', ')})`
  },
)

const hostHandlers = perContainer(
  ({ livenessProbe, readinessProbe, startupProbe, lifecycle }) =>
    [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop].some(
      handler => ((handler?.httpGet?.host ?? '') || (handler?.tcpSocket?.host ?? '')) !== '',
    ),
  names => `probe or lifecycle host (${names} must not set a host in probes or lifecycle handlers)`,
)

const privileged = perContainer(
  ({ securityContext }) => securityContext?.privileged === true,
  names => `privileged (${names} must not set securityContext.privileged=true)`,
)

const procMount = perContainer(
  ({ securityContext }) => (securityContext?.procMount ?? 'Default') !== 'Default',
  (names, offending) => {
    const values = gather(offending, ({ securityContext }) => [securityContext?.procMount ?? ''])
    return `procMount (${names} must not set securityContext.procMount to ${values})`
  },
)

const restrictedVolumes: Check = ({ spec }) => {
  const bad = (spec.volumes ?? []).flatMap(volume => {
    const type = Object.keys(volume).find(key => key !== 'name') ?? 'emptyDir'
    return RESTRICTED_VOLUMES.has(type) ? [] : [{ name: String(volume.name), type }]
  })
  if (bad.length === 0) return undefined
  const names = bad.map(({ name }) => name)
  const types = bad.map(({ type }) => type)
  const verb = bad.length === 1 ? 'uses' : 'use'
  return `restricted volume types (${plural('volume', names)} ${quoted(names)} ${verb} restricted volume ${plural('type', [...new Set(types)])} ${quoted(types)})`
}

const runAsNonRoot: Check = ({ spec }) => {
  const podSays = spec.securityContext?.runAsNonRoot
  const contexts = containersOf(spec)
  const explicit = contexts.filter(({ securityContext }) => securityContext?.runAsNonRoot === false)
  const silent = contexts.filter(({ securityContext }) => securityContext?.runAsNonRoot === undefined)
  const names = (list: readonly SecuredContainer[]) => containers(list.map(({ name }) => name))
  const wrong: string[] = []
  if (podSays === false && silent.length > 0)
    wrong.push('pod must not set securityContext.runAsNonRoot=false')
  if (explicit.length > 0) wrong.push(`${names(explicit)} must not set securityContext.runAsNonRoot=false`)
  if (wrong.length === 0 && podSays !== true && silent.length > 0) {
    wrong.push(`pod or ${names(silent)} must set securityContext.runAsNonRoot=true`)
  }
  return wrong.length === 0 ? undefined : `runAsNonRoot != true (${wrong.join('; ')})`
}

const runAsUser: Check = pod => {
  const wrong: string[] = []
  if (pod.spec.securityContext?.runAsUser === 0) wrong.push('pod must not set runAsUser=0')
  const names = offenders(pod, ({ securityContext }) => securityContext?.runAsUser === 0)
  if (names.length > 0) wrong.push(`${containers(names)} must not set runAsUser=0`)
  return wrong.length === 0 ? undefined : `runAsUser=0 (${wrong.join(' and ')})`
}

const seLinux: Check = ({ spec }) => {
  const contexts = [
    { who: 'pod', options: spec.securityContext?.seLinuxOptions },
    ...containersOf(spec).map(({ name, securityContext }) => ({
      who: `container ${JSON.stringify(name)}`,
      options: securityContext?.seLinuxOptions,
    })),
  ]
  const wrong = contexts.flatMap(({ who, options }) => {
    if (options === undefined) return []
    const set: string[] = []
    if (!SELINUX_TYPES.has(options.type ?? '')) set.push(`type ${JSON.stringify(options.type)}`)
    if ((options.user ?? '') !== '') set.push('user may not be set')
    if ((options.role ?? '') !== '') set.push('role may not be set')
    return set.length === 0 ? [] : [`${who} set forbidden securityContext.seLinuxOptions: ${set.join('; ')}`]
  })
  return wrong.length === 0 ? undefined : `seLinuxOptions (${wrong.join('; ')})`
}

const baselineSeccomp: Check = pod => {
  const unconfined = (context: SecurityContext | undefined) => context?.seccompProfile?.type === 'Unconfined'
  const who: string[] = unconfined(pod.spec.securityContext) ? ['pod'] : []
  const names = offenders(pod, ({ securityContext }) => unconfined(securityContext))
  if (names.length > 0) who.push(containers(names))
  return who.length === 0
    ? undefined
    : `seccompProfile (${who.join(' and ')} must not set securityContext.seccompProfile.type to "Unconfined")`
}

const GOOD_SECCOMP = new Set(['RuntimeDefault', 'Localhost'])

const restrictedSeccomp: Check = pod => {
  const podType = pod.spec.securityContext?.seccompProfile?.type
  const wrong: string[] = []
  const bad = offenders(pod, ({ securityContext }) => {
    const type = securityContext?.seccompProfile?.type
    return type !== undefined && !GOOD_SECCOMP.has(type)
  })
  const silent = offenders(pod, ({ securityContext }) => securityContext?.seccompProfile?.type === undefined)
  if (podType !== undefined && !GOOD_SECCOMP.has(podType)) {
    wrong.push(`pod must not set securityContext.seccompProfile.type to ${JSON.stringify(podType)}`)
  }
  if (bad.length > 0)
    wrong.push(`${containers(bad)} must not set securityContext.seccompProfile.type to "Unconfined"`)
  if (wrong.length === 0 && podType === undefined && silent.length > 0) {
    wrong.push(
      `pod or ${containers(silent)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`,
    )
  }
  return wrong.length === 0 ? undefined : `seccompProfile (${wrong.join('; ')})`
}

const sysctls: Check = ({ spec }) => {
  const names = (spec.securityContext?.sysctls ?? [])
    .map(({ name }) => name)
    .filter(name => !SAFE_SYSCTLS.has(name))
  return names.length === 0 ? undefined : `forbidden sysctls (${names.join(', ')})`
}

const windowsHostProcess: Check = pod => {
  const isHost = (context: SecurityContext | undefined) => context?.windowsOptions?.hostProcess === true
  const who: string[] = isHost(pod.spec.securityContext) ? ['pod'] : []
  const names = offenders(pod, ({ securityContext }) => isHost(securityContext))
  if (names.length > 0) who.push(containers(names))
  return who.length === 0
    ? undefined
    : `hostProcess (${who.join(' and ')} must not set securityContext.windowsOptions.hostProcess=true)`
}

/** In the order in which Kubernetes names them. */
export const BASELINE: readonly Check[] = [
  appArmor,
  baselineCapabilities,
  hostNamespaces,
  hostPathVolumes,
  hostPorts,
  hostHandlers,
  privileged,
  procMount,
  seLinux,
  baselineSeccomp,
  sysctls,
  windowsHostProcess,
]

/** As `BASELINE`, with what the stricter ones take the place of. */
export const RESTRICTED: readonly Check[] = [
  allowPrivilegeEscalation,
  appArmor,
  restrictedCapabilities,
  hostNamespaces,
  hostPorts,
  hostHandlers,
  privileged,
  procMount,
  restrictedVolumes,
  runAsNonRoot,
  runAsUser,
  seLinux,
  restrictedSeccomp,
  sysctls,
  windowsHostProcess,
]
