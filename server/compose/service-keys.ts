/** What each key of a service means for its launch config. A key that is not in these tables is refused. */
import type { LaunchConfig } from '../model/index.ts'
import { readHealthCheck } from './health-check.ts'
import {
  child,
  type PlacedValue,
  readBind,
  readBoolean,
  readCommand,
  readInteger,
  readList,
  readMap,
  readMemory,
  readPairs,
  readPorts,
  readSeconds,
  readText,
  readTextList,
  readTextOrList,
} from './value-readers.ts'

/** What readers may need besides the value. */
export interface ReadContext {
  /** Values of variables: for environment entries without one of their own. */
  readonly variables: Readonly<Record<string, string>>
}

type LaunchConfigReader = (at: PlacedValue, context: ReadContext) => Partial<LaunchConfig>

function readRestart(at: PlacedValue): Partial<LaunchConfig> {
  const text = at.value === false ? 'no' : readText(at)
  if (text === 'no') return { restart: 'no' }
  if (text === 'always' || text === 'unless-stopped') return { restart: 'always' }
  if (/^on-failure$/.test(text)) return { restart: 'on-failure' }
  throw at.file.invalid(at.path, `is "${text}"`, 'always, unless-stopped, on-failure or no')
}

function readNetworkMode(at: PlacedValue): Partial<LaunchConfig> {
  const text = readText(at)
  if (text === 'bridge' || text === 'managed' || text === 'default') return { networkMode: 'managed' }
  if (text === 'host') return { networkMode: 'host' }
  throw at.file.invalid(at.path, `is "${text}"`, 'managed or host')
}

function readUser(at: PlacedValue): Partial<LaunchConfig> {
  const user = readText(at)
  if (!/^\d+(:\d+)?$/.test(user)) throw at.file.invalid(at.path, `is "${user}"`, 'numbers: uid or uid:gid')
  return { user }
}

function readExtraHosts(at: PlacedValue): Partial<LaunchConfig> {
  if (Array.isArray(at.value)) return { extraHosts: readTextList(at) }
  const entries = Object.keys(readMap(at)).map(name => `${name}:${readText(child(at, name))}`)
  return { extraHosts: entries }
}

function readExpose(at: PlacedValue): Partial<LaunchConfig> {
  const expose = readList(at).map(item => {
    const match = /^(\d{1,5})(?:\/(tcp|udp))?$/.exec(readText(item))
    if (match === null) throw item.file.invalid(item.path, 'is not a port', 'a port such as 8080 or 53/udp')
    return `${match[1]}/${match[2] ?? 'tcp'}`
  })
  return { expose }
}

function readImage(at: PlacedValue): Partial<LaunchConfig> {
  const image = readText(at)
  // Docker's reference grammar, loosely: what it certainly refuses is refused here, with a line number.
  if (!/^[\w][\w.\-/:@]*$/.test(image) || image.length > 255) {
    throw at.file.invalid(at.path, `is not the name of an image: "${image}"`)
  }
  return { image }
}

/** Keys that become part of the launch config. */
export const launchConfigReaders: Readonly<Record<string, LaunchConfigReader>> = {
  image: readImage,
  command: at => ({ command: readCommand(at) }),
  entrypoint: at => ({ entryPoint: readCommand(at) }),
  environment: (at, { variables }) => ({ environment: readPairs(at, name => variables[name] ?? '') }),
  labels: at => ({ labels: readPairs(at, () => '') }),
  ports: at => ({ ports: readList(at).flatMap(readPorts) }),
  expose: readExpose,
  hostname: at => ({ hostname: readText(at) }),
  working_dir: at => ({ workingDir: readText(at) }),
  user: readUser,
  tty: at => ({ tty: readBoolean(at) }),
  stdin_open: at => ({ stdinOpen: readBoolean(at) }),
  privileged: at => ({ privileged: readBoolean(at) }),
  read_only: at => ({ readOnly: readBoolean(at) }),
  cap_add: at => ({ capAdd: readTextList(at) }),
  cap_drop: at => ({ capDrop: readTextList(at) }),
  extra_hosts: readExtraHosts,
  dns: at => ({ dns: readTextOrList(at) }),
  dns_search: at => ({ dnsSearch: readTextOrList(at) }),
  volumes: at => ({ binds: readList(at).map(readBind) }),
  mem_limit: at => ({ memory: readMemory(at) }),
  mem_reservation: at => ({ memoryReservation: readMemory(at) }),
  cpus: at => ({ milliCpu: Math.round(Number(readText(at)) * 1000) }),
  milli_cpu_reservation: at => ({ milliCpuReservation: readInteger(at, 0, 1_000_000) }),
  network_mode: readNetworkMode,
  restart: readRestart,
  health_check: at => ({ healthCheck: readHealthCheck(at) }),
  stop_grace_period: at => ({ stopTimeout: Math.ceil(readSeconds(at)) }),
}

/** Keys of a service that concern the service as a whole; `stack-definition.ts` reads them. */
export const serviceLevelKeys: ReadonlySet<string> = new Set([
  'scale',
  'links',
  'external_links',
  'depends_on',
  'external_ips',
  'metadata',
  'upgrade_strategy',
  'lb_config',
  'drain_timeout_ms',
])

/** Keys that the formats know and this version does not act on. */
export const unsupportedKeys: ReadonlySet<string> = new Set(
  `blkio_weight blkio_weight_device build cgroup_parent container_name cpu_count cpu_percent cpu_period cpu_quota
  cpu_shares cpuset device_read_bps device_read_iops device_write_bps device_write_iops devices dns_opt domainname
  env_file extends group_add healthcheck image_pull_policy init ipc isolation logging log_driver log_opt mac_address
  memswap_limit mem_swappiness net networks oom_kill_disable oom_score_adj pid pids_limit profiles secrets security_opt
  shm_size stop_signal storage_opt sysctls tmpfs ulimits userns_mode uts volume_driver volumes_from deploy configs
  load_balancer_config external_ips default_cert certs type scale_min scale_max scale_increment
  scale_policy create_only start_on_create retain_ip service_schemas storage_driver network_driver vcpu memory userdata
  disks drain_timeout_ms`.split(/\s+/),
)

/** Labels that ask for something this version does not do, by their beginnings. */
export const unsupportedLabels: readonly string[] = [
  'io.rancher.scheduler.',
  'io.rancher.container.create_agent',
  'io.rancher.container.agent.',
  'io.rancher.container.requested_ip',
  'io.rancher.loadbalancer.',
  'io.rancher.service.selector.',
]

/** A launch config with nothing said about it. */
export const emptyLaunchConfig: Omit<LaunchConfig, 'name' | 'image'> = {
  environment: {},
  labels: {},
  ports: [],
  expose: [],
  tty: false,
  stdinOpen: false,
  privileged: false,
  readOnly: false,
  capAdd: [],
  capDrop: [],
  extraHosts: [],
  dns: [],
  dnsSearch: [],
  binds: [],
  networkMode: 'managed',
  restart: 'always',
  stopTimeout: 10,
}
