/** Hosts in namespaces of a private network, joined by a wire that can be listened to, with containers behind a bridge each. */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { type Ipv6Prefix, withIpv6Prefix } from '../../../kit/index.ts'
import { type Association, listAssociations } from '../../../netplugins/ipsec/associations.ts'
import type { IpsecTimings } from '../../../netplugins/ipsec/index.ts'
import { listOf, ViciClient } from '../../../netplugins/ipsec/vici/index.ts'
import type { Peer as OverlayPeer, OverlayState, PeerState } from '../../../netplugins/overlay/index.ts'
import type { HostOrder, HostReply, SentCredentials } from './ipsec-host-process.ts'
import { addNamespace, namespacePath, Peer, run, runIn } from './lab.ts'

export const CLUSTER_BLOCK = '10.42.0.0/16'
export const GATEWAY = '10.42.0.1'
export const BRIDGE = 'drover0'
/** The bridge of the outermost namespace that joins the hosts. */
export const WIRE = 'wire'

const WIRE_MTU = 1500
const OVERHEAD = 98

/** How long to wait for something that takes charon a while, in milliseconds. */
const PATIENCE = 60_000

export function makeWire(): void {
  run('ip', 'link', 'add', WIRE, 'type', 'bridge')
  run('ip', 'link', 'set', WIRE, 'up')
}

/** Whether a process runs; what nobody has waited for yet does not. */
export function isRunning(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
  } catch {
    return false
  }
}

/** Asks until the answer is what is wanted. */
export async function until<T>(
  what: string,
  ask: () => Promise<T> | T,
  isWanted: (answer: T) => boolean,
): Promise<T> {
  const latest = performance.now() + PATIENCE
  for (;;) {
    const answer = await ask()
    if (isWanted(answer)) return answer
    if (performance.now() > latest) throw new Error(`${what}: still ${JSON.stringify(answer)}`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

/** A host, and the process in which its overlay lives: as an agent, it can be killed. */
export class IpsecHost {
  readonly name: string
  readonly directory: string
  address: string
  blocks: string[]
  keys: SentCredentials | undefined
  #ipv6Prefix: Ipv6Prefix | undefined
  #process: ChildProcess | undefined
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  #last = 0

  constructor(number: number, keys?: SentCredentials) {
    this.name = `h${number}`
    this.address = `192.0.2.${number}`
    this.blocks = [`10.42.${number}.0/26`]
    this.keys = keys
    this.directory = mkdtempSync('/tmp/drover-ipsec-')
    addNamespace(this.name)
    const wire = `wire-${this.name}`
    run('ip', 'link', 'add', wire, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.name)
    run('ip', 'link', 'set', wire, 'master', WIRE, 'up')
    this.run('ip', 'address', 'add', `${this.address}/24`, 'dev', 'eth0')
    this.run('ip', 'link', 'set', 'eth0', 'up')
    this.run('ip', 'route', 'add', 'default', 'via', '192.0.2.254')
    const mtu = String(WIRE_MTU - OVERHEAD)
    this.run('ip', 'link', 'add', BRIDGE, 'type', 'bridge')
    this.run('ip', 'link', 'set', BRIDGE, 'mtu', mtu, 'up')
    this.run('ip', 'address', 'add', `${GATEWAY}/16`, 'dev', BRIDGE)
    this.run('sysctl', '-q', '-w', 'net.ipv4.ip_forward=1', `net.ipv4.conf.${BRIDGE}.proxy_arp=1`)
  }

  run(command: string, ...args: string[]): string {
    return runIn(this.name, command, ...args)
  }

  /** From now on new containers have IPv6 addresses too, or have none any more. */
  setIpv6Prefix(prefix: Ipv6Prefix | undefined): void {
    this.#ipv6Prefix = prefix
    const settings = [`net.ipv6.conf.${BRIDGE}.disable_ipv6=${prefix === undefined ? 1 : 0}`]
    this.run('sysctl', '-q', '-w', ...settings, 'net.ipv6.conf.all.forwarding=1')
    if (prefix === undefined) return
    this.run('ip', 'address', 'add', `${withIpv6Prefix(prefix, GATEWAY)}/112`, 'dev', BRIDGE, 'nodad')
  }

  /** As other hosts know it. */
  get peer(): OverlayPeer {
    return { hostId: this.name, name: this.name, address: this.address, blocks: this.blocks, labels: {} }
  }

  /** Starts the process that stands for its agent. */
  async start(timings: Partial<IpsecTimings> = {}): Promise<void> {
    const child = fork(path.join(import.meta.dirname, 'ipsec-host-process.ts'), [], {
      execPath: 'nsenter',
      // With bytes of prefixes as bytes.
      serialization: 'advanced',
      execArgv: [`--net=${namespacePath(this.name)}`, process.execPath],
      env: {
        ...process.env,
        HOST_DIRECTORY: this.directory,
        HOST_NAME: this.name,
        HOST_TIMINGS: JSON.stringify(timings),
      },
    })
    child.on('message', (reply: HostReply) => {
      const waiter = this.#waiting.get(reply.id)
      this.#waiting.delete(reply.id)
      if (reply.error !== undefined) waiter?.reject(new Error(reply.error))
      else waiter?.resolve(reply.value)
    })
    await once(child, 'message')
    this.#process = child
  }

  /** The agent is killed, without a chance to tidy up. */
  async kill(): Promise<void> {
    const child = this.#process
    if (child === undefined) return
    this.#process = undefined
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  state(peers: readonly IpsecHost[]): OverlayState {
    return {
      address: this.address,
      clusterBlock: CLUSTER_BLOCK,
      blocks: this.blocks,
      bridgeName: BRIDGE,
      gateway: GATEWAY,
      ipv6Prefix: this.#ipv6Prefix,
      peers: peers.filter(host => host !== this).map(host => host.peer),
    }
  }

  async apply(peers: readonly IpsecHost[]): Promise<void> {
    await this.#order({ kind: 'apply', state: this.state(peers), keys: this.keys })
  }

  async verify(peers: readonly IpsecHost[]): Promise<number> {
    return Number(await this.#order({ kind: 'verify', state: this.state(peers), keys: this.keys }))
  }

  async peerStates(): Promise<PeerState[]> {
    return (await this.#order({ kind: 'peerStates' })) as PeerState[]
  }

  async remove(): Promise<void> {
    await this.#order({ kind: 'remove' })
  }

  /** Waits until the way to `peer` is in that state. */
  async untilPeer(peer: IpsecHost, state: PeerState['state']): Promise<PeerState> {
    const find = async () => (await this.peerStates()).find(({ hostId }) => hostId === peer.name)
    const found = await until(`${peer.name} for ${this.name}`, find, found => found?.state === state)
    if (found === undefined) throw new Error('not reached')
    return found
  }

  /** The process id of its charon, as an agent finds it. */
  async charon(): Promise<number | undefined> {
    return (await this.#order({ kind: 'charon' })) as number | undefined
  }

  /** What its charon says there is with other hosts. */
  async associations(): Promise<Association[]> {
    const client = await ViciClient.connect(path.join(this.directory, 'ipsec', 'vici'))
    try {
      return [...(await listAssociations(client)).values()].flat()
    } finally {
      client.close()
    }
  }

  /** Begins an association whether it should be this host's turn or not. */
  async initiateWith(peer: IpsecHost): Promise<void> {
    await this.apply([this, peer])
    const client = await ViciClient.connect(path.join(this.directory, 'ipsec', 'vici'))
    const [name] = listOf(await client.request('get-conns'), 'conns')
    await client.request('initiate', { ike: name ?? '', child: 'containers', timeout: '-1' })
    client.close()
  }

  /** Gets another address on the wire. */
  move(address: string): void {
    this.run('ip', 'address', 'flush', 'dev', 'eth0')
    this.run('ip', 'address', 'add', `${address}/24`, 'dev', 'eth0')
    this.run('ip', 'route', 'add', 'default', 'via', '192.0.2.254')
    this.address = address
  }

  /** Cuts it off the wire, or joins it again. */
  setConnected(isConnected: boolean): void {
    run('ip', 'link', 'set', `wire-${this.name}`, isConnected ? 'up' : 'down')
  }

  /** Makes a container with the block's address number `number`. */
  async addContainer(number: number, block = 0): Promise<Container> {
    const name = `${this.name}c${block}${number}`
    const base = this.blocks[block]?.split('/')[0]?.split('.').map(Number) ?? []
    const address = [...base.slice(0, 3), (base[3] ?? 0) + number].join('.')
    addNamespace(name)
    const outside = `veth-${name}`
    const mtu = String(WIRE_MTU - OVERHEAD)
    this.run(
      'ip',
      'link',
      'add',
      outside,
      'mtu',
      mtu,
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'mtu',
      mtu,
      'netns',
      name,
    )
    this.run('ip', 'link', 'set', outside, 'master', BRIDGE, 'up')
    runIn(name, 'ip', 'address', 'add', `${address}/16`, 'dev', 'eth0')
    runIn(name, 'ip', 'link', 'set', 'eth0', 'up')
    runIn(name, 'ip', 'route', 'add', 'default', 'via', GATEWAY)
    const peer = await Peer.start(name, name)
    await peer.listen('tcp', 80)
    await peer.listen('udp', 53)
    const address6 = this.#ipv6Prefix && withIpv6Prefix(this.#ipv6Prefix, address)
    if (address6 !== undefined) await this.#giveIpv6(name, address6, peer)
    return { name, address, address6: address6 ?? '', peer }
  }

  async #giveIpv6(name: string, address: string, peer: Peer): Promise<void> {
    const prefix = this.#ipv6Prefix
    if (prefix === undefined) return
    const gateway = withIpv6Prefix(prefix, GATEWAY)
    runIn(name, 'ip', 'address', 'add', `${address}/128`, 'dev', 'eth0', 'nodad')
    runIn(name, 'ip', 'route', 'add', `${gateway}/128`, 'dev', 'eth0')
    runIn(name, 'ip', 'route', 'add', 'default', 'via', gateway, 'dev', 'eth0')
    await peer.listen('tcp', 80, address)
    await peer.listen('udp', 53, address)
  }

  dispose(): void {
    this.#process?.disconnect()
    rmSync(this.directory, { recursive: true, force: true })
  }

  #order(order: HostOrder): Promise<unknown> {
    this.#last += 1
    const id = this.#last
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#process?.send({ id, order })
    })
  }
}

export interface Container {
  readonly name: string
  readonly address: string
  /** Empty where it has none. */
  readonly address6: string
  readonly peer: Peer
}

/** Everything that passes the wire, until it is stopped. */
export class Capture {
  readonly #process: ChildProcess
  readonly #file: string

  private constructor(child: ChildProcess, file: string) {
    this.#process = child
    this.#file = file
  }

  static async start(): Promise<Capture> {
    const file = path.join(mkdtempSync('/tmp/drover-capture-'), 'wire')
    // Packets are seen on the hosts' ends of the wire: a bridge itself only shows what it delivers locally.
    const child = spawn('tcpdump', ['-i', 'any', '-U', '-Z', 'root', '-w', file], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    if (child.stderr !== null) await once(child.stderr, 'data')
    return new Capture(child, file)
  }

  /** @returns all packets, one after the other */
  async stop(): Promise<Buffer> {
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGINT')
    await ended
    const bytes = readFileSync(this.#file)
    rmSync(path.dirname(this.#file), { recursive: true })
    return bytes
  }
}

/** Does something over and over until it is told to stop. @returns how often, when it is stopped */
export function repeatedly(work: () => Promise<unknown>): () => Promise<number> {
  let isWanted = true
  const rounds = (async () => {
    let count = 0
    for (; isWanted; count += 1) await work()
    return count
  })()
  rounds.catch(() => undefined)
  return () => {
    isWanted = false
    return rounds
  }
}
