/**
 * Several hosts in namespaces, joined by a switch, each with a bridge and one container: what overlays connect.
 *
 * The hosts are made by hand, as the agent would make them, with the agent's firewall rules and a policy that forwards
 * nothing by itself; only the overlay is under test.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import type { Test } from 'tap'
import type { Attachment } from '../../../../agent/network/attachment.ts'
import { firewallRules } from '../../../../agent/network/firewall-rules.ts'
import { planOf } from '../../../../agent/network/settings.ts'
import { TABLE_NAMES } from '../../../../netplugins/iptables/ruleset.ts'
import { restoreDocument, tableEdits } from '../../../../netplugins/iptables/table-edits.ts'
import type { OverlayRules, OverlayState, PeerState } from '../../../../netplugins/overlay/index.ts'
import { addNamespace, addressing, deleteNamespace, namespacePath, run, runIn } from '../lab.ts'
import type { OverlayAnswer, OverlayOrder } from './host-process.ts'

export const CLUSTER = '10.42.0.0/16'
export const GATEWAY = '10.42.0.1'
export const BRIDGE = 'drover0'

/** The namespace with the switch between the hosts. */
const SWITCH = 'switch'

/** Makes the switch that hosts are joined by when they start. */
export function startSwitch(): void {
  addNamespace(SWITCH)
  runIn(SWITCH, 'ip', 'link', 'add', 'lan0', 'type', 'bridge')
  runIn(SWITCH, 'ip', 'link', 'set', 'lan0', 'up')
}

function deleteSwitch(): void {
  deleteNamespace(SWITCH)
}

/** Many commands of `ip` in one process. */
function ipBatch(namespace: string, commands: readonly string[]): void {
  execFileSync('nsenter', [`--net=${namespacePath(namespace)}`, 'ip', '-batch', '-'], {
    input: commands.join('\n'),
  })
}

/** All firewall rules of a host's agent, where nothing else is forwarded. */
function rulesDocument(block: string, overlay: OverlayRules): string {
  const metadata = { address: '169.254.169.250', httpPort: 9346, dnsPort: 53 }
  const plan = planOf({ clusterBlock: CLUSTER, blocks: [block], metadata })
  const desired = firewallRules({ plan, bridgeName: BRIDGE, attachments: [], dockerBridges: [], overlay })
  const edits = TABLE_NAMES.map(table => [table, tableEdits(new Map(), desired[table])] as const)
  return restoreDocument(new Map(edits)).replace('*filter\n', '*filter\n:FORWARD DROP\n')
}

export interface HostOptions {
  readonly number: number
  readonly kind: 'vxlan' | 'routed'
  readonly mtu?: number
}

export class OverlayHost {
  readonly name: string
  readonly containerName: string
  readonly address: string
  readonly block: string
  /** Address of its container. */
  readonly container: string
  readonly #options: HostOptions
  #child: ChildProcess
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  #last = 0

  private constructor(options: HostOptions, child: ChildProcess) {
    const { number } = options
    this.#options = options
    this.name = `h${number}`
    this.containerName = `c${number}`
    this.address = `192.0.2.${number}`
    this.block = `10.42.${number}.0/26`
    this.container = `10.42.${number}.5`
    this.#child = child
    this.#listen()
  }

  #listen(): void {
    this.#child.on('message', (answer: OverlayAnswer) => {
      const waiter = this.#waiting.get(answer.id)
      this.#waiting.delete(answer.id)
      if (answer.error !== undefined) waiter?.reject(new Error(answer.error))
      else waiter?.resolve(answer.value)
    })
  }

  /** Makes the host and its container; there is no overlay yet. */
  static async start(options: HostOptions): Promise<OverlayHost> {
    const { number, kind, mtu = 1500 } = options
    const host = `h${number}`
    addNamespace(host)
    runIn(SWITCH, 'ip', 'link', 'add', host, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host)
    runIn(SWITCH, 'ip', 'link', 'set', host, 'master', 'lan0', 'up')
    ipBatch(host, [
      `link set eth0 up mtu ${mtu}`,
      `address add 192.0.2.${number}/24 dev eth0`,
      `link add ${BRIDGE} type bridge`,
      `address add ${GATEWAY}/16 dev ${BRIDGE}`,
      `link set ${BRIDGE} up`,
    ])
    runIn(
      host,
      'sysctl',
      ...['-qw', 'net/ipv4/ip_forward=1', `net/ipv4/conf/${BRIDGE}/proxy_arp=1`],
      `net/ipv4/neigh/${BRIDGE}/proxy_delay=0`,
    )
    addContainer(host, `c${number}`, `10.42.${number}.5`, kind === 'vxlan' ? mtu - 50 : mtu)
    const child = await startProcess(options, {})
    return new OverlayHost(options, child)
  }

  async apply(state: OverlayState): Promise<void> {
    await this.#order({ kind: 'apply', state })
    this.installRules(await this.rules(state))
  }

  async verify(state: OverlayState): Promise<number> {
    return (await this.#order({ kind: 'verify', state })) as number
  }

  /** Has packets of known flows of its container go the short way, as an agent does. */
  async offload(...others: readonly Attachment[]): Promise<void> {
    await this.#order({ kind: 'offload', attachments: [this.#attachment(), ...others] })
  }

  async forgetFlows(): Promise<void> {
    await this.#order({ kind: 'forgetFlows' })
  }

  async rulesChanged(): Promise<void> {
    await this.#order({ kind: 'rulesChanged' })
  }

  async endOffload(): Promise<void> {
    await this.#order({ kind: 'endOffload' })
  }

  async rules(state: OverlayState): Promise<OverlayRules> {
    return (await this.#order({ kind: 'rules', state })) as OverlayRules
  }

  async states(): Promise<readonly PeerState[]> {
    return (await this.#order({ kind: 'states' })) as PeerState[]
  }

  /** Runs `change` and resolves when a notification of the kernel about it concerned the overlay. */
  async concernedBy(change: () => void): Promise<void> {
    await this.#order({ kind: 'forgetEvents' })
    change()
    await this.#order({ kind: 'concerned' })
  }

  async remove(): Promise<void> {
    this.installRules({ input: [], forward: [], nat: [] })
    await this.#order({ kind: 'remove' })
  }

  installRules(rules: OverlayRules): void {
    execFileSync('nsenter', [`--net=${namespacePath(this.name)}`, 'iptables-restore'], {
      input: rulesDocument(this.block, rules),
    })
  }

  /** Ends its process, and starts another with these variables. */
  async restart(environment: Readonly<Record<string, string>>): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.disconnect()
    await ended
    this.#child = await startProcess(this.#options, environment)
    this.#listen()
  }

  /** Runs a program on the host. */
  run(command: string, ...args: string[]): string {
    return runIn(this.name, command, ...args)
  }

  /** Ends its process and removes its namespaces. */
  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.disconnect()
    await ended
    deleteNamespace(this.containerName)
    deleteNamespace(this.name)
  }

  #attachment(): Attachment {
    return attachmentOf(this.containerName, this.container, hostLink(this.containerName))
  }

  async #order(order: OverlayOrder): Promise<unknown> {
    this.#last += 1
    const id = this.#last
    return await new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#child.send({ id, order })
    })
  }
}

async function startProcess(
  { number, kind }: HostOptions,
  environment: Readonly<Record<string, string>>,
): Promise<ChildProcess> {
  const program = [process.execPath, path.join(import.meta.dirname, 'host-process.ts')]
  const child = spawn('nsenter', [`--net=${namespacePath(`h${number}`)}`, ...program], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, OVERLAY: kind, DIRECTORY: `/run/h${number}`, ...environment },
  })
  await once(child, 'message')
  return child
}

/** The host's end of a container's link, named as the agent names them. */
function hostLink(container: string): string {
  return `vethr-${container}`
}

/** A container as the agent keeps it in mind. */
export function attachmentOf(name: string, address: string, hostInterface: string): Attachment {
  return {
    ...{ networkName: 'test', containerId: name, interfaceName: 'eth0', namespace: namespacePath(name) },
    ...{ address, mac: '', hostInterface, ports: [] },
  }
}

export function addContainer(host: string, name: string, address: string, mtu: number): void {
  const link = hostLink(name)
  addNamespace(name)
  ipBatch(host, [
    `link add ${link} type veth peer name eth0 netns ${name}`,
    `link set ${link} master ${BRIDGE} up mtu ${mtu}`,
  ])
  ipBatch(name, [
    `link set eth0 up mtu ${mtu}`,
    `address add ${address}/16 dev eth0`,
    `route add default via ${GATEWAY}`,
  ])
}

/** What `host` should bring about when `all` are hosts of the cluster. */
export function stateOf(host: OverlayHost, all: readonly OverlayHost[]): OverlayState {
  return {
    address: host.address,
    clusterBlock: CLUSTER,
    blocks: [host.block],
    bridgeName: BRIDGE,
    gateway: GATEWAY,
    peers: all
      .filter(other => other !== host)
      .map(({ name, address, block }) => ({ hostId: name, name, address, blocks: [block], labels: {} })),
  }
}

/** Makes a switch and three hosts at it, for the rest of the test. */
export async function startHosts(
  t: Test,
  options: Omit<HostOptions, 'number'>,
): Promise<[OverlayHost, OverlayHost, OverlayHost]> {
  startSwitch()
  t.teardown(deleteSwitch)
  const start = async (number: number) => {
    const host = await OverlayHost.start({ number, ...options })
    t.teardown(() => host.stop())
    return host
  }
  return [await start(1), await start(2), await start(3)]
}

/** Everything that an overlay could leave behind on a host. */
export function hostState(host: OverlayHost): Record<string, unknown> {
  return {
    ...addressing((...args) => host.run('ip', ...args)),
    sets: host.run('ipset', 'list', '-name'),
  }
}

/** Whether an echo comes back within a second. */
export function pings(namespace: string, address: string, ...options: string[]): boolean {
  try {
    run('nsenter', `--net=${namespacePath(namespace)}`, 'ping', '-c1', '-W1', '-q', ...options, address)
    return true
  } catch {
    return false
  }
}
