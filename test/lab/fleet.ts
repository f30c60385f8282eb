/** A server and its hosts for a test: brought up by the same commands that a user types. */
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type CommandOptions, type CommandResult, sleep } from '../../kit/index.ts'
import { labErrors } from './errors.ts'
import { requestFromHost } from './host-request.ts'
import { Lab } from './lab.ts'
import type { VirtualHost } from './virtual-host.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const LAUNCHER = path.join(ROOT, 'drover')

/** The default data directory, which every virtual host has for itself. */
export const DATA = '/var/lib/drover'

/** Whatever test framework cleans up. */
interface Teardown {
  teardown(work: () => Promise<void>): unknown
}

/** A resource of the `/v3` API. */
export interface ApiObject {
  readonly id: string
  readonly name: string
  readonly state: string
  readonly [field: string]: unknown
}

/** Waits until `check` gives a value, looking again and again; fails with the description when it does not in time. */
export async function until<T>(
  description: string,
  milliseconds: number,
  check: () => Promise<T | undefined | false>,
): Promise<T> {
  const deadline = Date.now() + milliseconds
  for (;;) {
    const value = await check()
    if (value !== undefined && value !== false) return value
    if (Date.now() > deadline)
      throw labErrors.NotInTime({ object: description, expected: `within ${milliseconds} ms` })
    await sleep(50)
  }
}

export class Fleet {
  readonly lab: Lab
  /** The host with the server. */
  readonly first: VirtualHost

  private constructor(lab: Lab, first: VirtualHost) {
    this.lab = lab
    this.first = first
  }

  /** Makes so many hosts and starts a server with an agent on the first one; the others have Docker only. */
  static async start(test: Teardown, name: string, hosts = 1): Promise<Fleet> {
    const directory = await mkdtemp(path.join(tmpdir(), `drover-${name}-`))
    const lab = new Lab({ name, directory })
    test.teardown(() => lab.remove())
    await lab.createSwitch()
    const [first] = await Promise.all(Array.from({ length: hosts }, (_, index) => lab.addHost(index + 1)))
    if (first === undefined) throw labErrors.NoLab()
    const fleet = new Fleet(lab, first)
    await fleet.quickstart()
    return fleet
  }

  /** A host by its number. */
  host(number: number): VirtualHost {
    const host = this.lab.hosts.find(({ name }) => name === `h${number}`)
    if (host === undefined) throw labErrors.UnknownHost({ object: `h${number}` })
    return host
  }

  async quickstart(args: readonly string[] = []): Promise<CommandResult> {
    return await this.drover(
      ['quickstart', '--detach', '--address', this.first.address, '--advertise', this.serverUrl, ...args],
      { deadline: 60_000 },
    )
  }

  get serverUrl(): string {
    return `https://${this.first.address}:8443`
  }

  /** Runs the launcher on the first host. */
  async drover(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return await this.first.run(LAUNCHER, args, { deadline: 60_000, ...options })
  }

  async kubectl(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return await this.first.run('kubectl', ['--kubeconfig', `${DATA}/kubeconfig`, ...args], options)
  }

  /** A new registration token. */
  async token(): Promise<string> {
    return (await this.drover(['token', '--ttl', '10m'])).stdout.trim()
  }

  /** Starts an agent on another host; it lives until the lab ends. */
  startAgent(host: VirtualHost, token: string, args: readonly string[] = []): ChildProcess {
    return host.start(
      LAUNCHER,
      ['agent', '--server', this.serverUrl, '--address', host.address, ...args],
      'agent',
      { DROVER_TOKEN: token },
    )
  }

  /** Brings a further host into the cluster and waits until it is active. */
  async join(number: number): Promise<VirtualHost> {
    const host = this.host(number)
    await host.run(LAUNCHER, ['images', 'build'])
    this.startAgent(host, await this.token())
    await until(`h${number} is active`, 20_000, async () =>
      (await this.list('hosts')).some(
        ({ hostname, agentState }) => hostname === host.name && agentState === 'active',
      ),
    )
    return host
  }

  /** Asks the `/v3` API with the administrator's key. */
  async api<T = ApiObject>(method: string, target: string, body?: unknown): Promise<T> {
    // As the host's own processes see it.
    const file = `/proc/${this.first.holder}/root${DATA}/admin.json`
    const admin = JSON.parse(await readFile(file, 'utf8')) as Record<string, string>
    const answer = await requestFromHost(this.first.holder, {
      method,
      url: `${admin.url}/v3/${target}`,
      user: admin.accessKey ?? '',
      password: admin.secretKey ?? '',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return JSON.parse(answer) as T
  }

  async list(plural: string): Promise<ApiObject[]> {
    return (await this.api<{ data: ApiObject[] }>('GET', `${plural}?limit=1000`)).data
  }

  /** Containers of `/v3` by name. */
  async containers(): Promise<Map<string, ApiObject>> {
    return new Map((await this.list('containers')).map(container => [container.name, container]))
  }

  /** Process id of the server or the agent on the first host. */
  async daemonPid(daemon: 'server' | 'agent'): Promise<number> {
    const file = daemon === 'server' ? `${DATA}/server.lock` : `${DATA}/agent/agent.lock`
    return Number((await this.first.run('cat', [file])).stdout.trim())
  }

  /** Ids and names of Docker containers on a host that carry all labels. */
  async docker(
    labels: readonly string[] = [],
    host: VirtualHost = this.first,
  ): Promise<{ id: string; name: string }[]> {
    const filters = labels.flatMap(label => ['--filter', `label=${label}`])
    const { stdout } = await host.run('docker', [
      'ps',
      '--no-trunc',
      '--format',
      '{{.ID}} {{.Names}}',
      ...filters,
    ])
    return stdout
      .split('\n')
      .filter(line => line !== '')
      .map(line => {
        const [id = '', containerName = ''] = line.split(' ')
        return { id, name: containerName }
      })
  }

  /** Runs a command in a service's container by plain Docker. */
  async inContainer(
    name: string,
    command: readonly string[],
    host: VirtualHost = this.first,
  ): Promise<CommandResult> {
    const found = (await this.docker([`io.rancher.container.name=${name}`], host))[0]
    if (found === undefined)
      throw labErrors.NotInTime({ object: `container ${name}`, message: 'does not run' })
    // 143: `timeout` ended it.
    return await host.run('docker', ['exec', found.id, ...command], { acceptedExitCodes: [0, 1, 143] })
  }
}

/** The file of the example. */
export const WEB_EXAMPLE = path.join(ROOT, 'examples/web/docker-compose.yml')
