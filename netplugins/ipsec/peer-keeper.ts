/** Keeps one association with every peer: asks charon what there is, and lets each peer's machine decide. */
import { explainError, isDroverError, type Logger } from '../../kit/index.ts'
import type { Peer, PeerState } from '../overlay/index.ts'
import { type Association, listAssociations } from './associations.ts'
import { CharonLog, type HeardFailure } from './charon-log.ts'
import { CHILD_NAME, type DesiredConnection, parseConnectionName } from './connection.ts'
import { PeerMachine, type PeerStep } from './peer-machine.ts'
import { listOf, type ViciClient } from './vici/index.ts'

/** Milliseconds between two looks when everything is as wanted: events tell of most changes. */
const QUIET_INTERVAL = 30_000

/** Associations that are begun at one look: charon does a key exchange for each. */
const BEGIN_LIMIT = 64

/** Milliseconds for which events are collected: at least so many, and one for every peer, because a look is at all. */
const EVENT_DELAY = 20

export interface PeerKeeperOptions {
  /** Asks for `look` to be called, in so many milliseconds at the latest. */
  readonly lookSoon: (milliseconds: number) => void
  /** The state of a peer changed. */
  readonly changed: () => void
  readonly log: Logger
}

export class PeerKeeper {
  readonly #options: PeerKeeperOptions
  readonly #machines = new Map<string, PeerMachine>()
  readonly #states = new Map<string, Pick<PeerState, 'state' | 'reason'>>()
  #client: ViciClient | undefined
  #loaded = new Set<string>()
  #accepted: readonly string[] = []
  #log: CharonLog | undefined

  constructor(options: PeerKeeperOptions) {
    this.#options = options
  }

  /** How the way to a peer is, as far as is known. */
  stateOf(peer: Peer): Pick<PeerState, 'state' | 'reason'> {
    return this.#states.get(peer.hostId) ?? { state: 'connecting' }
  }

  /**
   * From now on this charon is asked. What it has loaded of an earlier agent stays where it is as wanted.
   *
   * @throws `CharonRefused`, `DeadlineExceeded`
   */
  async attach(client: ViciClient): Promise<void> {
    const { lookSoon } = this.#options
    this.#log = new CharonLog(client, failed => this.#hear(failed))
    const changed = () => lookSoon(this.#eventDelay())
    for (const event of ['ike-updown', 'child-updown']) await client.listen(event, changed)
    this.#loaded = new Set(listOf(await client.request('get-conns'), 'conns'))
    for (const machine of this.#machines.values()) machine.retrySoon(performance.now())
    this.#client = client
  }

  /** There is no charon any more. */
  detach(): void {
    this.#client = undefined
    this.#log = undefined
    this.#loaded.clear()
    this.#states.clear()
  }

  /**
   * Says which connections there should be, and brings charon's list there. Associations follow by themselves.
   *
   * @param accepted credentials that are believed
   * @returns how many connections were not as they should be
   * @throws what charon said first; the others are loaded nevertheless
   */
  async want(connections: readonly DesiredConnection[], accepted: readonly string[]): Promise<number> {
    const client = this.#client
    const now = performance.now()
    this.#accepted = accepted
    const wanted = new Map(connections.map(connection => [connection.hostId, connection]))
    for (const hostId of this.#machines.keys()) if (!wanted.has(hostId)) this.#forget(hostId)
    for (const [hostId, connection] of wanted) {
      const machine = this.#machines.get(hostId)
      if (machine === undefined) this.#machines.set(hostId, new PeerMachine(connection, now))
      else if (machine.desired.name !== connection.name) machine.want(connection, now)
    }
    if (client === undefined) return 0
    const changes = await this.#bringConnections(client, connections)
    if (changes > 0) this.#options.lookSoon(0)
    return changes
  }

  /** Compares what charon has loaded with what it should have; whoever changed it. @throws like `want` */
  async recount(): Promise<void> {
    const client = this.#client
    if (client !== undefined) this.#loaded = new Set(listOf(await client.request('get-conns'), 'conns'))
  }

  /**
   * Looks at all associations, begins and ends some.
   *
   * @returns milliseconds until the next look
   * @throws `DeadlineExceeded`, `Stopped`, `CharonRefused`
   */
  async look(): Promise<number> {
    const client = this.#client
    if (client === undefined) return QUIET_INTERVAL
    // Before anything is begun: charon says only once why it failed.
    const isEveryoneUp = this.#machines.keys().every(hostId => this.#states.get(hostId)?.state === 'up')
    await this.#log?.follow(!isEveryoneUp)
    const associations = await listAssociations(client)
    let wait = QUIET_INTERVAL
    let begun = 0
    for (const [hostId, machine] of this.#machines) {
      const present = associations.get(hostId) ?? []
      const step = machine.step(present, this.#accepted, performance.now(), begun < BEGIN_LIMIT)
      wait = Math.min(wait, step.lookAgain ?? QUIET_INTERVAL)
      if (step.begin) begun += 1
      this.#remember(hostId, step)
      await this.#take(client, machine, step)
    }
    await this.#endStrangers(client, associations)
    return Math.ceil(wait)
  }

  async #bringConnections(client: ViciClient, connections: readonly DesiredConnection[]): Promise<number> {
    const names = new Set(connections.map(({ name }) => name))
    let changes = 0
    let failure: unknown
    const attempt = async (work: () => Promise<unknown>) => {
      changes += 1
      try {
        await work()
      } catch (error) {
        // Charon itself is gone: the others will fare no better.
        if (!isDroverError(error, 'CharonRefused')) throw error
        failure ??= error
      }
    }
    // An old one must not be what the peer's next attempt is taken for.
    for (const name of [...this.#loaded].filter(name => !names.has(name))) {
      this.#loaded.delete(name)
      await attempt(() => client.request('unload-conn', { name }))
    }
    for (const { name, section } of connections.filter(({ name }) => !this.#loaded.has(name))) {
      await attempt(async () => {
        await client.request('load-conn', section)
        this.#loaded.add(name)
      })
    }
    if (failure !== undefined) throw failure
    return changes
  }

  async #take(client: ViciClient, machine: PeerMachine, step: PeerStep): Promise<void> {
    for (const id of step.end) await this.#end(client, id)
    if (!step.begin) return
    const { name, hostId } = machine.desired
    this.#options.log.debug({ host: hostId }, 'begins an association')
    try {
      await client.request('initiate', { ike: name, child: CHILD_NAME, timeout: '-1' })
    } catch (error) {
      if (!isDroverError(error, 'CharonRefused')) throw error
      machine.failed({ reason: explainError(error), isRefusal: false })
    }
  }

  async #end(client: ViciClient, id: number): Promise<void> {
    try {
      await client.request('terminate', { 'ike-id': String(id), timeout: '-1' })
    } catch (error) {
      if (!isDroverError(error, 'CharonRefused')) throw error
      // As a rule it has ended by itself meanwhile.
      this.#options.log.debug({ association: id, reason: explainError(error) }, 'did not end an association')
    }
  }

  /** Associations with hosts that are no peers (any more). */
  async #endStrangers(client: ViciClient, associations: ReadonlyMap<string, Association[]>): Promise<void> {
    for (const [hostId, list] of associations) {
      if (this.#machines.has(hostId)) continue
      for (const { id } of list) await this.#end(client, id)
    }
  }

  #hear({ name, failure }: HeardFailure): void {
    const hostId = parseConnectionName(name)?.hostId
    const machine = hostId === undefined ? undefined : this.#machines.get(hostId)
    if (machine === undefined) return
    machine.failed(failure)
    this.#options.lookSoon(this.#eventDelay())
  }

  #eventDelay(): number {
    return Math.max(EVENT_DELAY, this.#machines.size)
  }

  #forget(hostId: string): void {
    this.#machines.delete(hostId)
    this.#states.delete(hostId)
    this.#options.lookSoon(0)
  }

  #remember(hostId: string, { state, reason }: PeerStep): void {
    const before = this.#states.get(hostId)
    if (before?.state === state && before.reason === reason) return
    this.#states.set(hostId, { state, ...(reason === undefined ? {} : { reason }) })
    this.#options.log.info({ host: hostId, state, reason }, 'the way to a host changed')
    this.#options.changed()
  }
}
