/** A small world inside a private network: a host with an uplink, a neighbour outside, namespaces for containers. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import type { PeerAnswer, PeerOrder, Protocol, SecureRequest } from './peer.ts'

/** The host's address on its uplink. */
export const HOST_ADDRESS = '192.0.2.1'
/** A second address of the host on the same uplink. */
export const SECOND_ADDRESS = '192.0.2.2'
/** The neighbour's address on the same link. */
export const OUTSIDE_ADDRESS = '192.0.2.9'

/** How long to wait before taking silence for the answer, in milliseconds. */
const SILENCE = 600

export function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

export function namespacePath(name: string): string {
  return `/run/netns/${name}`
}

/** Makes an empty network namespace with its loopback up. @returns its file */
export function addNamespace(name: string): string {
  run('ip', 'netns', 'add', name)
  runIn(name, 'ip', 'link', 'set', 'lo', 'up')
  return namespacePath(name)
}

/** Unmounts a namespace's file; the namespace ends with its last process. */
export function deleteNamespace(name: string): void {
  run('ip', 'netns', 'delete', name)
}

/** Runs a command in a namespace (nsenter, because `ip netns exec` mounts a new /sys). */
export function runIn(namespace: string, command: string, ...args: string[]): string {
  return run('nsenter', `--net=${namespacePath(namespace)}`, command, ...args)
}

/** Joins this namespace, as a host's, with one called `outside` by a wire: eth0 here, eth0 there. */
export function connectOutside(): void {
  addNamespace('outside')
  run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'outside')
  run('ip', 'address', 'add', `${HOST_ADDRESS}/24`, 'dev', 'eth0')
  run('ip', 'address', 'add', `${SECOND_ADDRESS}/24`, 'dev', 'eth0')
  run('ip', 'link', 'set', 'eth0', 'up')
  runIn('outside', 'ip', 'address', 'add', `${OUTSIDE_ADDRESS}/24`, 'dev', 'eth0')
  runIn('outside', 'ip', 'link', 'set', 'eth0', 'up')
}

/**
 * Links, addresses, routes and lasting neighbours as `ip` tells them, without what only time decides: whether the kernel
 * is done yet with the IPv6 address that it gives a link by itself.
 */
export function addressing(runIp: (...args: string[]) => string): Record<string, unknown> {
  const settled = (key: string, value: unknown) => (key === 'tentative' ? undefined : value)
  const json = (...args: string[]) => JSON.parse(runIp('-json', ...args), settled) as unknown
  return {
    links: json('link', 'show'),
    addresses: json('address', 'show'),
    routes: (json('route', 'show', 'table', 'all') as { dst: string }[]).filter(
      ({ dst }) => !dst.startsWith('fe80::'),
    ),
    neighbours: json('neighbour', 'show', 'nud', 'permanent'),
  }
}

/** Links, addresses, routes and rules of this namespace, in a form that two moments can be compared by. */
export function kernelState(): Record<string, unknown> {
  const rules = run('iptables-save')
    .split('\n')
    .filter(line => !line.startsWith('#'))
    .map(line => line.replace(/\[\d+:\d+\]/, ''))
  // Tables that iptables loaded and that hold nothing are not something left behind.
  const filled = rules.filter(line => line.startsWith('-A') || (line.startsWith(':') && line.includes(' - ')))
  return { ...addressing((...args) => run('ip', ...args)), rules: filled }
}

/** A process in a namespace (or, without one, on the host) that serves and asks. */
export class Peer {
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, { resolve(value: string): void; reject(error: Error): void }>()
  #last = 0

  private constructor(child: ChildProcess) {
    this.#process = child
    child.on('message', (answer: PeerAnswer) => {
      const waiter = this.#waiting.get(answer.id)
      this.#waiting.delete(answer.id)
      if (answer.error !== undefined) waiter?.reject(new Error(answer.error))
      else waiter?.resolve(answer.value ?? '')
    })
  }

  static async start(name: string, namespace?: string): Promise<Peer> {
    return await Peer.startIn(name, namespace === undefined ? undefined : namespacePath(namespace))
  }

  /** @param file of a network namespace; this process's own when absent */
  static async startIn(name: string, file: string | undefined): Promise<Peer> {
    const program = [
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      path.join(import.meta.dirname, 'peer.ts'),
    ]
    const [command = '', ...args] = file === undefined ? program : ['nsenter', `--net=${file}`, ...program]
    const child = spawn(command, args, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, PEER_NAME: name },
    })
    await once(child, 'message')
    return new Peer(child)
  }

  /** @returns the port it listens on */
  async listen(protocol: Protocol, port: number, address = '0.0.0.0'): Promise<number> {
    return Number(await this.#order({ kind: 'listen', protocol, address, port }))
  }

  /** @returns what the server said; rejects with `silence`, `closed` or the system's error */
  ask(protocol: Protocol, address: string, port: number, deadline = 5_000): Promise<string> {
    return this.#order({ kind: 'ask', protocol, address, port, deadline })
  }

  /** Asks by UDP, always from the same port, as a client that keeps its socket. */
  askFrom(from: number, address: string, port: number): Promise<string> {
    return this.#order({ kind: 'ask', protocol: 'udp', address, port, deadline: 2_000, from })
  }

  /** Asks and takes a short silence, a refusal and a closed connection for "not reachable". */
  async reaches(protocol: Protocol, address: string, port: number): Promise<boolean> {
    return await this.ask(protocol, address, port, SILENCE).then(
      () => true,
      () => false,
    )
  }

  /** Sends so many bytes by TCP. @returns what the server said */
  transfer(address: string, port: number, bytes: number): Promise<string> {
    return this.#order({ kind: 'transfer', address, port, bytes })
  }

  /** Asks a server by HTTPS. @returns its answer, whatever its status */
  fetch(request: SecureRequest): Promise<string> {
    return this.#order({ kind: 'fetch', ...request })
  }

  /** One whose machine lost its power has ended already. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const ended = once(this.#process, 'exit')
    if (this.#process.connected) this.#process.disconnect()
    await ended
  }

  #order(order: PeerOrder): Promise<string> {
    this.#last += 1
    const id = this.#last
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#process.send({ id, order })
    })
  }
}
