/**
 * Addresses from the network's own DHCP server, by the `dhcp` plugin of containernetworking-plugins: its daemon asks for
 * leases in the containers' namespaces and renews them, whether an agent runs or not.
 */
import { spawn } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import path from 'node:path'
import {
  isDroverError,
  kitErrors,
  makePrivateDirectory,
  parseIpv4,
  runCommand,
  sleep,
  systemClock,
  Type,
  validatorOf,
} from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'

/** Where Debian has it. */
const DEFAULT_PLUGIN = '/usr/lib/cni/dhcp'

/** Milliseconds until the daemon answers. */
const START_DEADLINE = 5_000

/** Milliseconds until a lease must be there: containers wait for it. */
const LEASE_DEADLINE = 20_000

const RELEASE_DEADLINE = 10_000

export interface DhcpLeasesOptions {
  /** For the daemon's socket and process number; below /run, so that nothing of it survives a reboot. */
  readonly directory: string
  readonly pluginFile?: string
  /** Milliseconds until a lease must be there; 20 000 when absent. */
  readonly leaseDeadline?: number
}

/** The interface that asks; it must be up. */
export interface DhcpInterface {
  readonly containerId: string
  readonly namespace: string
  readonly interfaceName: string
}

export interface DhcpLease {
  readonly address: string
  readonly prefixLength: number
  /** The router that the server names. */
  readonly gateway: string | undefined
}

const result = validatorOf(
  Type.Object({
    ips: Type.Array(Type.Object({ address: Type.String(), gateway: Type.Optional(Type.String()) }), {
      minItems: 1,
    }),
  }),
)

export class DhcpLeases {
  readonly #options: DhcpLeasesOptions
  readonly #socket: string
  readonly #pidFile: string

  constructor(options: DhcpLeasesOptions) {
    this.#options = options
    this.#socket = path.join(options.directory, 'dhcp.sock')
    this.#pidFile = path.join(options.directory, 'dhcp.pid')
  }

  /** Starts the daemon unless it runs. @throws `PluginMissing`, `DeadlineExceeded` */
  async start(): Promise<void> {
    if (await this.#answers()) return
    const { directory } = this.#options
    await makePrivateDirectory(directory)
    await rm(this.#socket, { force: true })
    const args = ['daemon', '-socketpath', this.#socket, '-pidfile', this.#pidFile]
    // Goes on without the agent: leases end with the process that renews them.
    const daemon = spawn(this.#plugin, args, { detached: true, stdio: 'ignore' })
    const failure = new Promise<Error>(resolve => daemon.once('error', resolve))
    daemon.unref()
    const end = systemClock.monotonic() + START_DEADLINE
    while (!(await this.#answers())) {
      const cause = await Promise.race([failure, sleep(20)])
      if (cause instanceof Error) {
        throw networkErrors.PluginMissing({
          object: `plugin ${this.#plugin}`,
          mend: 'install containernetworking-plugins',
          cause,
        })
      }
      if (systemClock.monotonic() > end) {
        throw kitErrors.DeadlineExceeded({
          object: 'DHCP daemon',
          expected: `a start in ${START_DEADLINE} ms`,
        })
      }
    }
  }

  /** Asks for an address. @throws `PluginFailed` when no server gives one, and like `start` */
  async lease(of: DhcpInterface): Promise<DhcpLease> {
    const { leaseDeadline = LEASE_DEADLINE } = this.#options
    await this.start()
    const { ips } = result.parse(JSON.parse(await this.#execute('ADD', of, leaseDeadline)), 'result of dhcp')
    const [address = '', prefixLength] = (ips[0]?.address ?? '').split('/')
    if (parseIpv4(address) === undefined || !(Number(prefixLength) <= 32)) {
      throw networkErrors.PluginFailed({
        object: 'plugin dhcp',
        message: `gives the address ${ips[0]?.address}`,
      })
    }
    return { address, prefixLength: Number(prefixLength), gateway: ips[0]?.gateway }
  }

  /** Gives the address back; none is fine. @throws `PluginFailed` */
  async release(of: DhcpInterface): Promise<void> {
    if (await this.#answers()) await this.#execute('DEL', of, RELEASE_DEADLINE)
  }

  /** Ends the daemon: containers lose their leases when these run out. Idempotent. */
  async remove(): Promise<void> {
    const pid = Number(await readFile(this.#pidFile, 'utf8').catch(() => ''))
    if (Number.isInteger(pid) && pid > 1) {
      // The number may have become another process's.
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      if (command.split('\0').includes(this.#socket)) process.kill(pid, 'SIGTERM')
    }
    await rm(this.#options.directory, { recursive: true, force: true })
  }

  get #plugin(): string {
    return this.#options.pluginFile ?? DEFAULT_PLUGIN
  }

  async #execute(command: 'ADD' | 'DEL', of: DhcpInterface, deadline: number): Promise<string> {
    const input = { cniVersion: '1.0.0', name: 'flat', type: 'flat' }
    const failed = (reason: string, cause?: unknown) =>
      networkErrors.PluginFailed({
        object: 'plugin dhcp',
        message: `${command} failed: ${reason}`,
        mend: 'check that the network has a DHCP server that answers several MAC addresses on one port',
        cause,
      })
    const { exitCode, stdout, stderr } = await runCommand(this.#plugin, [], {
      input: JSON.stringify({ ...input, ipam: { type: 'dhcp', daemonSocketPath: this.#socket } }),
      deadline,
      environment: {
        CNI_COMMAND: command,
        CNI_CONTAINERID: of.containerId,
        CNI_NETNS: of.namespace,
        CNI_IFNAME: of.interfaceName,
        CNI_PATH: path.dirname(this.#plugin),
      },
      acceptedExitCodes: [0, 1],
    }).catch((error: unknown) => {
      throw isDroverError(error, 'DeadlineExceeded')
        ? failed(`no answer within ${deadline} ms`, error)
        : error
    })
    if (exitCode === 0) return stdout
    throw failed((stdout || stderr).trim().slice(0, 300))
  }

  #answers(): Promise<boolean> {
    return new Promise(resolve => {
      const socket = connect({ path: this.#socket })
      const finish = (answer: boolean) => {
        socket.destroy()
        resolve(answer)
      }
      socket.once('connect', () => finish(true))
      socket.once('error', () => finish(false))
    })
  }
}
