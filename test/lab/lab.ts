/** Virtual hosts on one network that leads nowhere else. */
import { mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { type CommandResult, runCommand } from '../../kit/index.ts'
import { VirtualHost, type VirtualHostOptions } from './virtual-host.ts'

export interface LabOptions {
  /** Short; begins the names of links and cgroups. */
  readonly name: string
  readonly directory: string
  /** Process whose network namespace has the lab's bridge; this one when absent. */
  readonly switchPid?: number
}

/** The documentation network TEST-NET-1 (RFC 5737): these addresses belong to nobody. */
const NETWORK = '192.0.2'
const PREFIX_LENGTH = 24
/** Of whoever looks at the lab from the bridge. */
const OBSERVER = 254

/** A Linux link name has at most 15 characters. */
function linkName(lab: string, host: string): string {
  return `${lab}-${host}`.slice(-15)
}

/** A machine's interface has the same address after it was started again: neighbours remember it. */
function macOf(address: string): string {
  const octets = (address.split('/')[0] ?? '').split('.').map(octet => Number(octet))
  return ['02:1a', ...octets.map(octet => octet.toString(16).padStart(2, '0'))].join(':')
}

/** Of a host: the end of its address. */
function numberOf({ address }: VirtualHost): number {
  return Number(address.split('.').at(-1))
}

export class Lab {
  readonly #options: LabOptions
  readonly #hosts: VirtualHost[] = []

  constructor(options: LabOptions) {
    this.#options = options
  }

  /** The hosts in the order of their numbers, however long each took to be made. */
  get hosts(): readonly VirtualHost[] {
    return this.#hosts
  }

  /** The address of the switch itself, from which tests look at the hosts. */
  get observerAddress(): string {
    return `${NETWORK}.${OBSERVER}`
  }

  /** What a host of that number is made with. */
  hostOptions(number: number, name = `h${number}`): VirtualHostOptions {
    return {
      name,
      directory: path.join(this.#options.directory, name),
      address: `${NETWORK}.${number}/${PREFIX_LENGTH}`,
      cgroup: `/drover-lab-${this.#options.name}-${name}`,
    }
  }

  /** Makes the bridge that the hosts are connected to. */
  async createSwitch(): Promise<void> {
    await mkdir(this.#options.directory, { recursive: true, mode: 0o700 })
    const bridge = this.#bridge()
    await this.#inSwitch('ip', ['link', 'set', 'lo', 'up'])
    await this.#inSwitch('ip', ['link', 'add', bridge, 'type', 'bridge'])
    await this.#inSwitch('ip', ['addr', 'add', `${this.observerAddress}/${PREFIX_LENGTH}`, 'dev', bridge])
    await this.#inSwitch('ip', ['link', 'set', bridge, 'up'])
  }

  /** Makes a host and connects it, without Docker. */
  async addMachine(number: number, name?: string): Promise<VirtualHost> {
    const options = this.hostOptions(number, name)
    const host = await VirtualHost.create(options)
    this.adopt(host)
    await this.#connect(host, options.address)
    return host
  }

  /** Makes a host with a Docker engine and connects it. */
  async addHost(number: number, name?: string): Promise<VirtualHost> {
    const host = await this.addMachine(number, name)
    await host.startDocker()
    return host
  }

  /** Pulls a host's plug and starts it again, with its Docker engine and nothing else. @returns the host as it is now */
  async reboot(host: VirtualHost, number: number): Promise<VirtualHost> {
    await host.powerOff()
    // The kernel takes its time to clear away the network of a machine that is gone, and the cable with it.
    await this.#inSwitch('ip', ['link', 'del', linkName(this.#options.name, host.name)]).catch(
      () => undefined,
    )
    const options = this.hostOptions(number, host.name)
    const again = await VirtualHost.create(options)
    this.#hosts.splice(this.#hosts.indexOf(host), 1, again)
    await this.#connect(again, options.address)
    await again.startDocker()
    return again
  }

  /** Takes up a host that another process made. */
  adopt(host: VirtualHost): void {
    this.#hosts.push(host)
    this.#hosts.sort((one, other) => numberOf(one) - numberOf(other))
  }

  /** Removes everything. */
  async remove(): Promise<void> {
    await Promise.all(this.#hosts.map(host => host.remove()))
    this.#hosts.length = 0
    await this.#inSwitch('ip', ['link', 'del', this.#bridge()]).catch(() => undefined)
    await rm(this.#options.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }

  async #connect(host: VirtualHost, address: string): Promise<void> {
    const outside = linkName(this.#options.name, host.name)
    await this.#inSwitch('ip', [
      'link',
      'add',
      outside,
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'address',
      macOf(address),
      'netns',
      String(host.holder),
    ])
    await this.#inSwitch('ip', ['link', 'set', outside, 'master', this.#bridge(), 'up'])
    await host.run('ip', ['addr', 'add', address, 'dev', 'eth0'])
    await host.run('ip', ['link', 'set', 'eth0', 'up'])
  }

  #bridge(): string {
    return linkName(this.#options.name, 'switch')
  }

  #inSwitch(file: string, args: readonly string[]): Promise<CommandResult> {
    const { switchPid } = this.#options
    return switchPid === undefined
      ? runCommand(file, args)
      : runCommand('nsenter', ['--target', String(switchPid), '--net', file, ...args])
  }
}
