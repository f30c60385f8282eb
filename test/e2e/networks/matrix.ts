/** Who can talk to whom in a fleet: every pair of places that should, by TCP, UDP and with much data. */
import type { Test } from 'tap'
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

/** One that talks: a container, a host, or a machine outside of the fleet. */
interface Place {
  readonly peer: Peer
  readonly name: string
  readonly address: string
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
  /** Data directory of the agent, by host. */
  readonly agents = new Map<string, readonly string[]>()

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
    return new NetworkFleet(fleet, outside)
  }

  /** Chooses a network, and waits until every host has it. */
  async choose(kind: string, options: object = {}): Promise<void> {
    await this.fleet.drover([
      ...['network', 'set', kind, '--options', JSON.stringify(options), '--timeout', '60s'],
    ])
  }

  /** The containers as they are when all run and every host reaches every other. */
  async #settled(): Promise<readonly ApiObject[]> {
    return await until('everything runs and is connected', 60_000, async () => {
      const [containers, hosts] = await Promise.all([this.fleet.list('containers'), this.fleet.list('hosts')])
      const running = containers.filter(({ state, name }) => state === 'running' && name.startsWith('m-'))
      const connected = hosts.every(({ network, agentState }) => {
        const report = network as { up: number; down: number; failure: string | null } | null
        return agentState === 'active' && report?.up === 2 && report.down === 0 && report.failure === null
      })
      return running.length === 6 && connected ? running : undefined
    })
  }

  async #open(containers: readonly ApiObject[]): Promise<Place[]> {
    const hosts = new Map((await this.fleet.list('hosts')).map(host => [host.id, host]))
    const places = containers.map(async ({ name, hostId, externalId, primaryIpAddress }) => {
      const hostname = String(hosts.get(String(hostId))?.hostname)
      const host = this.fleet.host(Number(hostname.slice(1)))
      const inspect = ['inspect', '--format', '{{.State.Pid}}', String(externalId)]
      const pid = (await host.run('docker', inspect)).stdout.trim()
      return await place(name, `/proc/${pid}/ns/net`, String(primaryIpAddress), hostname)
    })
    const machines = [...this.fleet.lab.hosts].map(host =>
      place(host.name, `/proc/${host.holder}/ns/net`, this.addressOf(host), host.name),
    )
    const opened = await Promise.allSettled([...places, ...machines])
    const failed = opened.find(result => result.status === 'rejected')
    const good = opened.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []))
    if (failed === undefined) return good
    await Promise.all(good.map(({ peer }) => peer.stop()))
    throw failed.reason
  }

  /** A host's address as it is now; tests change it. */
  readonly addresses = new Map<string, string>()

  addressOf(host: VirtualHost): string {
    return this.addresses.get(host.name) ?? host.address
  }

  /** Asks every question of the matrix. @returns what did not work */
  async failures(): Promise<string[]> {
    const containers = await this.#settled()
    const places = await this.#open(containers)
    try {
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
      for (const question of questions(places)) await ask(question)
      wrong.push(...(await transfers(places)))
      return wrong
    } finally {
      await Promise.all(places.map(({ peer }) => peer.stop()))
    }
  }

  /** Process id of a host's agent. */
  async agentPid(host: VirtualHost): Promise<string> {
    return (await host.run('cat', [`${DATA}/agent/agent.lock`])).stdout.trim()
  }
}

async function place(name: string, file: string, address: string, host: string): Promise<Place> {
  const peer = await Peer.startIn(name, file)
  await peer.listen('tcp', LISTEN)
  await peer.listen('udp', LISTEN)
  return { peer, name, address, host }
}

function says(name: string, client?: string): RegExp {
  return new RegExp(`^${name} sees ${client === undefined ? '' : `${client.replaceAll('.', '\\.')}\\b`}`)
}

const isContainer = ({ name }: Place) => name.startsWith('m-')

function questions(places: readonly Place[]): Question[] {
  const containers = places.filter(isContainer)
  const hosts = places.filter(({ name }) => /^h\d$/.test(name))
  const outside = places.find(({ name }) => name === 'outside')
  const all: Question[] = []
  const both = (question: Omit<Question, 'protocol'>) => {
    for (const protocol of ['tcp', 'udp'] as const) all.push({ ...question, protocol })
  }
  for (const from of containers) {
    for (const to of containers) {
      if (from === to) continue
      const what = from.host === to.host ? 'same host' : 'other host'
      both({ what, from, address: to.address, port: LISTEN, expected: says(to.name, from.address) })
    }
    const own = hosts.find(({ host }) => host === from.host)
    if (outside !== undefined && own !== undefined) {
      const expected = says('outside', own.address)
      both({ what: 'to the outside', from, address: outside.address, port: LISTEN, expected })
    }
  }
  for (const from of hosts) {
    for (const to of containers) {
      const what = from.host === to.host ? 'host to container' : 'host to container elsewhere'
      both({ what, from, address: to.address, port: LISTEN, expected: says(to.name) })
    }
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

/** Much data between hosts, to the outside and from it: packets of full size both ways. */
async function transfers(places: readonly Place[]): Promise<string[]> {
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
    [outside, host.address, PUBLISHED],
  ]
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
