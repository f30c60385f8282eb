/** What we keep of `docker inspect`. */
import type { ContainerInspectInfo } from '#dockerode'
import type { PortReport } from '../../protocol/index.ts'

/** One Docker container, as it was when it was last looked at. Immutable. */
export interface ContainerDetails {
  readonly id: string
  /** Without the leading slash. */
  readonly name: string
  /** As it was named when the container was made. */
  readonly image: string
  readonly imageId: string
  /** ISO 8601. */
  readonly createdAt: string
  readonly status: 'created' | 'running' | 'paused' | 'exited'
  /** Of its first process, on the host; 0 when it does not run. */
  readonly pid: number
  readonly exitCode: number
  readonly oomKilled: boolean
  /** Docker's reason why it could not be started. */
  readonly error: string
  /** ISO 8601; absent when it never started. */
  readonly startedAt: string | undefined
  readonly finishedAt: string | undefined
  readonly restartCount: number
  readonly labels: Readonly<Record<string, string>>
  /** What it may use; 0 for no limit. */
  readonly resources: { readonly memory: number; readonly nanoCpus: number; readonly cpuShares: number }
  readonly hostname: string
  readonly command: readonly string[]
  readonly tty: boolean
  /** Its input ends with the first client that closes it. */
  readonly stdinOnce: boolean
  /** `default`, `host`, `none`, `container:<id>`, or a network's name. */
  readonly networkMode: string
  readonly ip: string | undefined
  readonly macAddress: string | undefined
  readonly ports: readonly PortReport[]
  /** The file that the container sees as /etc/resolv.conf. */
  readonly resolvConfPath: string
}

/** Docker writes this for "never". */
const ZERO_TIME = '0001-01-01T00:00:00Z'

function readStatus(status: string): ContainerDetails['status'] {
  switch (status) {
    case 'created':
    case 'running':
    case 'paused':
      return status
    // Docker says `restarting` while it waits to start a container again: at that moment it does not run.
    default:
      return 'exited'
  }
}

function readPorts(
  bindings: Record<string, { HostIp: string; HostPort: string }[] | null> | undefined,
): PortReport[] {
  return Object.entries(bindings ?? {}).flatMap(([key, hosts]) => {
    const [port = '', protocol = 'tcp'] = key.split('/')
    if (protocol !== 'tcp' && protocol !== 'udp') return []
    return (hosts ?? [])
      .filter(({ HostPort, HostIp }) => HostPort !== '' && !HostIp.includes(':'))
      .map(({ HostIp, HostPort }) => ({
        address: HostIp === '' ? '0.0.0.0' : HostIp,
        publicPort: Number(HostPort),
        privatePort: Number(port),
        protocol,
      }))
  })
}

/** Reads Docker's answer. */
export function readDetails(info: ContainerInspectInfo): ContainerDetails {
  const { State: state, Config: config, NetworkSettings: network, HostConfig: host } = info
  const attached = Object.values(network.Networks ?? {}).find(entry => entry?.IPAddress)
  const running = state.Status === 'running' || state.Status === 'paused'
  const time = (text: string) => (text === ZERO_TIME || text === '' ? undefined : text)
  return {
    id: info.Id,
    name: info.Name.replace(/^\//, ''),
    image: config.Image,
    imageId: info.Image,
    createdAt: info.Created,
    status: readStatus(state.Status),
    pid: running ? state.Pid : 0,
    exitCode: state.ExitCode,
    oomKilled: state.OOMKilled,
    error: state.Error,
    startedAt: time(state.StartedAt),
    finishedAt: running ? undefined : time(state.FinishedAt),
    restartCount: info.RestartCount,
    labels: config.Labels ?? {},
    resources: {
      memory: host.Memory ?? 0,
      nanoCpus: host.NanoCpus ?? 0,
      cpuShares: host.CpuShares ?? 0,
    },
    hostname: config.Hostname,
    command: [info.Path, ...info.Args].filter(word => word !== ''),
    tty: config.Tty === true,
    stdinOnce: config.StdinOnce === true,
    networkMode: host.NetworkMode ?? 'default',
    ip: running ? attached?.IPAddress : undefined,
    macAddress: running ? attached?.MacAddress : undefined,
    ports: running ? readPorts(network.Ports as Parameters<typeof readPorts>[0]) : [],
    resolvConfPath: info.ResolvConfPath,
  }
}
