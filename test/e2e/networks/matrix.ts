/** Who can talk to whom in a fleet: every pair of places that should, by TCP, UDP and with much data. */
import type { Test } from 'tap'
import { type Ipv6Prefix, requireIpv6Prefix, runCommand, withIpv6Prefix } from '../../../kit/index.ts'
import { type ApiObject, DATA, Fleet, until } from '../../lab/fleet.ts'
import type { VirtualHost } from '../../lab/virtual-host.ts'
import { Peer } from '../network/lab.ts'
import type { Protocol } from '../network/peer.ts'

const LISTEN = 7000
const PUBLISHED = 8090
const OUTSIDE_NUMBER = 9
const TRANSFER = 10_000_000

const COMPOSE = `version: "2"
services:
  open:
    image: drover/busybox:1
    scale: 3
    command: ["sh", "-c", "trap exit TERM; sleep 100000 & wait"]
    stop_grace_period: 0s
    ports: ["${PUBLISHED}:${LISTEN}/tcp", "${PUBLISHED}:${LISTEN}/udp"]
  plain:
    image: drover/busybox:1
    scale: 3
    command: ["sh", "-c", "trap exit TERM; sleep 100000 & wait"]
    stop_grace_period: 0s
`

const CLUSTER_NETWORK = '10.42.'
const HOSTS_NETWORK = '192.0.2.'

/** What was chosen last. */
interface Network {
  readonly kind: string
  readonly mode?: string | undefined
  /** Of the containers that were made since it was chosen: see `recreate`. */
  readonly ipv6?: Ipv6Prefix | undefined
}

interface ChosenOptions {
  readonly flat?: { readonly mode: string; readonly [name: string]: unknown }
  readonly routed?: { readonly provider: string }
  readonly ipsec?: { readonly authentication: string }
  readonly vxlan?: { readonly flowOffload: boolean }
  readonly ipv6Prefix?: string
}

/** One that talks: a container, a host, or a machine outside of the fleet. */
interface Place {
  readonly peer: Peer
  readonly name: string
  readonly address: string
  /** Where there are two families. */
  readonly address6?: string | undefined
  readonly host: string
}

/** What one question is, and what its answer should begin with. */
interface Question {
  readonly what: string
  readonly from: Place
  readonly protocol: Protocol
  readonly address: string
  readonly port: number
  readonly expected: RegExp
}

export class NetworkFleet {
  readonly fleet: Fleet
  readonly outside: VirtualHost
  /** A host's address as it is now; tests change it. */
  readonly addresses = new Map<string, string>()
  /** Who talks in a namespace, while that lives: starting one costs more than all that it says. */
  readonly #peers = new Map<string, Peer>()
  #places: readonly Place[] = []
  #network: Network = { kind: 'vxlan' }

  private constructor(fleet: Fleet, outside: VirtualHost) {
    this.fleet = fleet
    this.outside = outside
  }

  static async start(t: Test, name: string): Promise<NetworkFleet> {
    const fleet = await Fleet.start(t, name, 3)
    const outside = await fleet.lab.addMachine(OUTSIDE_NUMBER, 'outside')
    await Promise.all([fleet.join(2), fleet.join(3)])
    await fleet.first.run('tee', ['/etc/matrix.yml'], { input: COMPOSE })
    await fleet.drover(['stack', 'up', '-f', '/etc/matrix.yml', '-s', 'm', '--timeout', '60s'])
    const world = new NetworkFleet(fleet, outside)
    t.teardown(() => world.#silence(() => true))
    return world
  }

  /** Chooses a network, and waits until every host has it. */
  async choose(kind: string, options: ChosenOptions = {}): Promise<void> {
    await this.fleet.drover([
      ...['network', 'set', kind, '--options', JSON.stringify(options), '--timeout', '60s'],
    ])
    const { ipv6Prefix } = options
    const ipv6 = ipv6Prefix === undefined ? undefined : requireIpv6Prefix(ipv6Prefix, 'prefix')
    this.#network = { kind, mode: options.flat?.mode, ipv6 }
  }

  /** Ends every pod; the agents make new ones, with what the network gives now. */
  async recreate(): Promise<void> {
    await this.settled()
    for (const host of this.members) {
      const pods = ['ps', '--quiet', '--filter', 'name=k8s_POD_m-']
      const { stdout } = await host.run('docker', pods)
      await host.run('docker', ['kill', ...stdout.split('\n').filter(id => id !== '')])
    }
  }

  /** IPv6 addresses beside the IPv4 ones for the hosts and the machine outside; those of a link that went down are lost. */
  async #addressHosts(): Promise<void> {
    const add = (host: VirtualHost) =>
      host.run('ip', ['-6', 'address', 'replace', `${host6(host)}/64`, 'dev', 'eth0', 'nodad'])
    await Promise.all(this.fleet.lab.hosts.map(add))
  }

  /** Whether a host has what containers are connected to now: what it reports is the kind, not the mode. */
  async #hasMode(): Promise<boolean> {
    const { kind, mode } = this.#network
    if (kind !== 'flat') return true
    const link = mode === 'macvlan' ? 'flatmv0' : 'flatbr0'
    const links = await Promise.all(this.members.map(host => host.run('ip', ['-o', 'link'])))
    return links.every(({ stdout }) => stdout.includes(link))
  }

  /** The containers as they are when all run and every host reaches every other. */
  async settled(): Promise<readonly ApiObject[]> {
    const { kind } = this.#network
    const prefix = kind === 'flat' ? HOSTS_NETWORK : CLUSTER_NETWORK
    const ways = kind === 'flat' || kind === 'bridge' ? 0 : 2
    return await until('everything runs and is connected', 60_000, async () => {
      const [containers, hosts] = await Promise.all([this.fleet.list('containers'), this.fleet.list('hosts')])
      const running = containers.filter(
        ({ state, name, primaryIpAddress }) =>
          state === 'running' && name.startsWith('m-') && String(primaryIpAddress).startsWith(prefix),
      )
      const connected = hosts.every(({ network, agentState }) => {
        const report = network as { kind: string; up: number; down: number; failure: string | null } | null
        if (agentState !== 'active' || report === null || report.failure !== null) return false
        return report.kind === kind && report.up === ways && report.down === 0
      })
      return running.length === 6 && connected && (await this.#hasMode()) ? running : undefined
    })
  }

  /** Everybody, when every container has the address that it is known by. */
  async #open(): Promise<readonly Place[]> {
    const containers = await until('containers have their addresses', 60_000, async () => {
      const found = await this.#locate(await this.settled())
      const present = await Promise.all(
        found.flatMap(({ pid, address, address6 }) => [
          hasAddress(pid, address),
          address6 === undefined || hasAddress(pid, address6),
        ]),
      )
      return !present.includes(false) && found
    })
    const { ipv6 } = this.#network
    if (ipv6 !== undefined) await this.#addressHosts()
    const machines = this.fleet.lab.hosts.map(host => {
      const address6 = ipv6 && host6(host)
      const address = this.addressOf(host)
      return { name: host.name, pid: String(host.holder), address, address6, host: host.name }
    })
    const wanted = [...containers, ...machines]
    const keys = new Set(wanted.map(peerKey))
    await this.#silence(key => !keys.has(key))
    this.#places = await Promise.all(wanted.map(async place => ({ ...place, peer: await this.#peer(place) })))
    return this.#places
  }

  async #locate(containers: readonly ApiObject[]): Promise<Omit<Place & { readonly pid: string }, 'peer'>[]> {
    const hosts = new Map((await this.fleet.list('hosts')).map(host => [host.id, host]))
    const places = containers.map(async ({ name, hostId, externalId, primaryIpAddress }) => {
      const hostname = String(hosts.get(String(hostId))?.hostname)
      const host = this.fleet.host(Number(hostname.slice(1)))
      const inspect = ['inspect', '--format', '{{.State.Pid}}', String(externalId)]
      const { stdout } = await host.run('docker', inspect, { acceptedExitCodes: [0, 1] })
      const address = String(primaryIpAddress)
      const { ipv6 } = this.#network
      const address6 = ipv6 && withIpv6Prefix(ipv6, address)
      return { name, pid: stdout.trim(), address, address6, host: hostname }
    })
    return await Promise.all(places)
  }

  async #peer(place: { readonly name: string; readonly pid: string }): Promise<Peer> {
    const present = this.#peers.get(peerKey(place))
    if (present !== undefined) return present
    const peer = await Peer.startIn(place.name, `/proc/${place.pid}/ns/net`)
    this.#peers.set(peerKey(place), peer)
    for (const any of ['0.0.0.0', '::']) {
      await peer.listen('tcp', LISTEN, any)
      await peer.listen('udp', LISTEN, any)
    }
    return peer
  }

  /** Ends the peers in namespaces that are gone, or all of them. */
  async #silence(isOver: (key: string) => boolean): Promise<void> {
    const over = [...this.#peers].filter(([key]) => isOver(key))
    for (const [key] of over) this.#peers.delete(key)
    await Promise.all(over.map(([, peer]) => peer.stop()))
  }

  /** The hosts with an agent. */
  get members(): readonly VirtualHost[] {
    return this.fleet.lab.hosts.filter(host => host !== this.outside)
  }

  addressOf(host: VirtualHost): string {
    return this.addresses.get(host.name) ?? host.address
  }

  /** Asks every question of the matrix. @returns what did not work */
  async failures(): Promise<string[]> {
    return await this.#ask(await this.#open())
  }

  /** Asks everything again of those who were asked last, whatever hosts say of themselves. @returns what did not work */
  async answers(): Promise<string[]> {
    return await this.#ask(this.#places)
  }

  async #ask(places: readonly Place[]): Promise<string[]> {
    const wrong: string[] = []
    const ask = async ({ what, from, protocol, address, port, expected }: Question) => {
      const title = `${what}: ${from.name} → ${address}:${port}/${protocol}`
      try {
        const answer = await from.peer.ask(protocol, address, port, 5_000)
        if (!expected.test(answer)) wrong.push(`${title}: ${answer}`)
      } catch (error) {
        wrong.push(`${title}: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    // Everybody asks one thing after the other, and all at the same time.
    const all = [...questions(places, this.#network), ...questions6(places, this.#network)]
    const asked = Map.groupBy(all, ({ from }) => from)
    const inTurn = [...asked.values()].map(async list => {
      for (const question of list) await ask(question)
    })
    await Promise.all(inTurn)
    wrong.push(...(await transfers(places, this.#network)))
    return wrong
  }

  /** Process id of a host's agent. */
  async agentPid(host: VirtualHost): Promise<string> {
    return (await host.run('cat', [`${DATA}/agent/agent.lock`])).stdout.trim()
  }
}

async function hasAddress(pid: string, address: string): Promise<boolean> {
  const exact = address.includes(':') ? `${address}/128` : `${address}/32`
  const show = ['ip', '-o', 'address', 'show', 'to', exact]
  const { stdout } = await runCommand('nsenter', ['--target', pid, '--net', ...show], {
    acceptedExitCodes: [0, 1],
  })
  return stdout !== ''
}

/** What a host has in IPv6 on its uplink. */
function host6({ address }: VirtualHost): string {
  return `2001:db8::${address.split('.').at(-1)}`
}

function peerKey({ name, pid }: { readonly name: string; readonly pid: string }): string {
  return `${name} ${pid}`
}

function says(name: string, client?: string): RegExp {
  return new RegExp(`^${name} sees ${client === undefined ? '' : `${client.replaceAll('.', '\\.')}\\b`}`)
}

const isContainer = ({ name }: Place) => name.startsWith('m-')

/**
 * What must work. On the hosts' own network containers are neighbours of everybody: nothing is translated and nothing
 * published; and where they are beside the host's interface (macvlan), they and their own host do not hear each other.
 */
function questions(places: readonly Place[], { kind, mode }: Network): Question[] {
  const isFlat = kind === 'flat'
  const containers = places.filter(isContainer)
  const hosts = places.filter(({ name }) => /^h\d$/.test(name))
  const outside = places.find(({ name }) => name === 'outside')
  const all: Question[] = []
  const both = (question: Omit<Question, 'protocol'>) => {
    for (const protocol of ['tcp', 'udp'] as const) all.push({ ...question, protocol })
  }
  for (const from of containers) {
    for (const to of containers) {
      if (from === to || (kind === 'bridge' && from.host !== to.host)) continue
      const what = from.host === to.host ? 'same host' : 'other host'
      both({ what, from, address: to.address, port: LISTEN, expected: says(to.name, from.address) })
    }
    const own = hosts.find(({ host }) => host === from.host)
    if (outside !== undefined && own !== undefined) {
      const expected = says('outside', isFlat ? from.address : own.address)
      both({ what: 'to the outside', from, address: outside.address, port: LISTEN, expected })
    }
  }
  for (const from of hosts) {
    for (const to of containers) {
      if (mode === 'macvlan' && from.host === to.host) continue
      if (kind === 'bridge' && from.host !== to.host) continue
      const what = from.host === to.host ? 'host to container' : 'host to container elsewhere'
      both({ what, from, address: to.address, port: LISTEN, expected: says(to.name) })
    }
  }
  if (isFlat) {
    for (const to of containers) {
      if (outside === undefined) continue
      const expected = says(to.name, outside.address)
      both({ what: 'from the outside', from: outside, address: to.address, port: LISTEN, expected })
    }
    return all
  }
  const open = containers.filter(({ name }) => name.startsWith('m-open'))
  for (const to of open) {
    const host = hosts.find(other => other.host === to.host)
    if (host === undefined) continue
    const target = { address: host.address, port: PUBLISHED, expected: says(to.name) }
    if (outside !== undefined) {
      both({ ...target, what: 'published', from: outside, expected: says(to.name, outside.address) })
    }
    both({ ...target, what: 'its own published port', from: to })
    both({ ...target, what: 'published, from the host', from: host })
    for (const from of containers)
      if (from !== to) both({ ...target, what: 'published, from containers', from })
  }
  return all
}

/** The same in IPv6, where nothing is published; the bridges of hosts that are not connected lead nowhere. */
function questions6(places: readonly Place[], { kind, ipv6 }: Network): Question[] {
  if (ipv6 === undefined) return []
  const containers = places.filter(isContainer)
  const machines = places.filter(place => !isContainer(place))
  const outside = machines.find(({ name }) => name === 'outside')
  const all: Question[] = []
  const ask = (what: string, from: Place, to: Place | undefined, client?: Place) => {
    if (from === to || to?.address6 === undefined) return
    if (kind === 'bridge' && isContainer(to) && to.host !== from.host) return
    const question = {
      what,
      from,
      address: to.address6,
      port: LISTEN,
      expected: says(to.name, client?.address6),
    }
    for (const protocol of ['tcp', 'udp'] as const) all.push({ ...question, protocol })
  }
  for (const from of containers) {
    for (const to of containers) ask('IPv6', from, to, from)
    const own = machines.find(({ name }) => name === from.host)
    ask('IPv6 to the outside', from, outside, own)
  }
  for (const from of machines) {
    if (from !== outside) for (const to of containers) ask('IPv6, from a host', from, to)
  }
  return all
}

/** Much data between hosts, to the outside and from it: packets of full size both ways. */
async function transfers(places: readonly Place[], { kind, ipv6 }: Network): Promise<string[]> {
  const [first, ...others] = places.filter(isContainer)
  const elsewhere = others.find(({ host }) => host !== first?.host)
  const outside = places.find(({ name }) => name === 'outside')
  const open = places.find(({ name }) => name.startsWith('m-open'))
  const host = places.find(({ name }) => name === open?.host)
  if (first === undefined || elsewhere === undefined || outside === undefined || host === undefined) {
    return ['the containers are not spread over the hosts']
  }
  const pairs: [Place, string, number][] = [
    [first, elsewhere.address, LISTEN],
    [elsewhere, first.address, LISTEN],
    [first, outside.address, LISTEN],
    kind === 'flat' ? [outside, first.address, LISTEN] : [outside, host.address, PUBLISHED],
  ]
  if (kind === 'bridge') pairs.splice(0, 2)
  if (ipv6 !== undefined && kind !== 'bridge') {
    pairs.push([first, elsewhere.address6 ?? '', LISTEN], [elsewhere, first.address6 ?? '', LISTEN])
  }
  if (ipv6 !== undefined) pairs.push([first, outside.address6 ?? '', LISTEN])
  const wrong: string[] = []
  for (const [from, address, port] of pairs) {
    const title = `10 MB: ${from.name} → ${address}:${port}`
    try {
      const answer = await from.peer.transfer(address, port, TRANSFER)
      if (!answer.endsWith(`sent ${TRANSFER}`)) wrong.push(`${title}: ${answer}`)
    } catch (error) {
      wrong.push(`${title}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return wrong
}
