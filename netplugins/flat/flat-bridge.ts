/**
 * A bridge in the place of the host's interface, so that containers are on the host's own network.
 *
 * The host must stay reachable: everything moves in one batch, and moves back unless the router answers.
 */
import { explainError, type Logger, runCommand, systemClock } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import { getLink, type KernelEvent, type Link, type RouteSocket, setLink } from '../netlink/index.ts'
import { announceAddress, answersArp } from './arp.ts'
import {
  gatewayOf,
  type InterfaceConfiguration,
  isSameConfiguration,
  readConfiguration,
} from './interface-configuration.ts'
import { followCommands, giveBackCommands, type MoveCommands, takeOverCommands } from './move-commands.ts'
import type { TakeoverJournal, TakeoverRecord } from './takeover-journal.ts'

/** Milliseconds that the router has to answer. */
const GATEWAY_DEADLINE = 3_000

/** Milliseconds after a takeover that failed until the next one: each cuts the host off for some seconds. */
const RETRY_INTERVAL = 10 * 60_000

export interface FlatBridgeOptions {
  readonly interface: string
  readonly bridge: string
  /** The router that must answer; the one of the interface's default route when absent. */
  readonly gateway?: string
  readonly socket: RouteSocket
  readonly journal: TakeoverJournal
  readonly log: Logger
}

export class FlatBridge {
  readonly #options: FlatBridgeOptions
  #failure: { readonly error: unknown; readonly until: number } | undefined
  #links: { readonly interface: Link; readonly bridge: Link } | undefined

  constructor(options: FlatBridgeOptions) {
    this.#options = options
  }

  /**
   * Makes the bridge, or repairs it. A bridge of that name that somebody else made is taken as it is.
   *
   * @returns how many things were not as they should be
   * @throws `InterfaceMissing`, `GatewaySilent` when the router did not answer (everything is as it was before then; for
   *   ten minutes the next calls throw it again without trying), `KernelRefused`, `CommandFailed`
   */
  async ensure(): Promise<number> {
    const { journal, log } = this.#options
    const record = await journal.read()
    if (record !== undefined && (record.phase === 'moving' || !this.#isFor(record))) {
      log.warn({ interface: record.interface }, 'gives back an interface whose move was interrupted')
      await this.#giveBack(record, record.configuration)
    }
    const done = record?.phase === 'done' && this.#isFor(record)
    const nic = await this.#requireInterface()
    const bridge = await getLink(this.#options.socket, this.#options.bridge)
    if (bridge === undefined) {
      await this.#takeOver(done ? record : undefined)
      return 1
    }
    if (!done) {
      this.#links = { interface: nic, bridge }
      return 0
    }
    return await this.#repair(nic, bridge, record.configuration)
  }

  concerns(event: KernelEvent): boolean {
    const links = this.#links
    if (links === undefined || event.kind === 'lost') return true
    switch (event.kind) {
      case 'route':
        return false
      case 'address':
        return event.link === links.interface.index
      case 'link': {
        const { link, removed } = event
        if (link.name === this.#options.bridge) return removed || !link.up
        return link.name === this.#options.interface && (removed || link.master !== links.bridge.index)
      }
    }
  }

  /** Gives the interface everything back that the bridge has now. Nothing for a bridge that somebody else made. */
  async remove(): Promise<void> {
    const { journal, socket } = this.#options
    const record = await journal.read()
    if (record === undefined) return
    const bridge = await getLink(socket, record.bridge)
    const present = bridge === undefined ? undefined : await readConfiguration(record.bridge)
    const isUsable = record.phase === 'done' && (present?.addresses.length ?? 0) > 0
    await this.#giveBack(record, isUsable && present !== undefined ? present : record.configuration)
    this.#links = undefined
  }

  #isFor(record: TakeoverRecord): boolean {
    return record.interface === this.#options.interface && record.bridge === this.#options.bridge
  }

  async #requireInterface(): Promise<Link> {
    const link = await getLink(this.#options.socket, this.#options.interface)
    if (link !== undefined) return link
    throw networkErrors.InterfaceMissing({ object: `interface ${this.#options.interface}` })
  }

  /** @param before the record of a bridge that is gone, for instance since a reboot */
  async #takeOver(before: TakeoverRecord | undefined): Promise<void> {
    const { journal, log } = this.#options
    const names = { interface: this.#options.interface, bridge: this.#options.bridge }
    if (this.#failure !== undefined && systemClock.monotonic() < this.#failure.until)
      throw this.#failure.error
    const present = await readConfiguration(names.interface)
    // A bridge that somebody deleted took everything with it.
    const configuration =
      before !== undefined && present.addresses.length === 0 ? before.configuration : present
    const gateway = this.#options.gateway ?? gatewayOf(configuration)
    if (before === undefined) await this.#requireGateway(names.interface, configuration, gateway)
    const record = { ...names, configuration }
    await journal.write({ ...record, phase: 'moving' })
    try {
      await runMove(takeOverCommands(configuration, names), false)
      await this.#requireGateway(names.bridge, configuration, gateway)
    } catch (error) {
      this.#failure = { error, until: systemClock.monotonic() + RETRY_INTERVAL }
      log.error({ error: explainError(error) }, 'moves the interface back: the host would not be reachable')
      await this.#giveBack({ ...record, phase: 'moving' }, configuration)
      throw error
    }
    await journal.write({ ...record, phase: 'done' })
    this.#failure = undefined
    await this.#remember()
    for (const { family, local } of configuration.addresses) {
      if (family === 'inet' && this.#links !== undefined)
        announceAddress(this.#links.bridge, configuration.mac, local)
    }
    log.info(names, 'put the interface into a bridge')
  }

  /** @param before the interface's configuration before the bridge */
  async #repair(nic: Link, bridge: Link, before: InterfaceConfiguration): Promise<number> {
    const { socket } = this.#options
    const names = { interface: nic.name, bridge: bridge.name }
    let repairs = 0
    if (nic.master !== bridge.index || !nic.up) {
      await setLink(socket, nic.name, { master: bridge.index, up: true })
      repairs += 1
    }
    if (!bridge.up || bridge.mac !== nic.mac) {
      await setLink(socket, bridge.name, { up: true, ...(nic.mac === undefined ? {} : { mac: nic.mac }) })
      repairs += 1
    }
    const stray = await readConfiguration(nic.name)
    const own = await readConfiguration(bridge.name)
    const missing = stray.addresses.length > 0 ? stray : own.addresses.length === 0 ? before : undefined
    if (missing !== undefined) {
      await runMove(followCommands(missing, names), false)
      repairs += 1
    }
    await this.#remember()
    return repairs
  }

  async #remember(): Promise<void> {
    const nic = await getLink(this.#options.socket, this.#options.interface)
    const bridge = await getLink(this.#options.socket, this.#options.bridge)
    if (nic !== undefined && bridge !== undefined) this.#links = { interface: nic, bridge }
  }

  /** @throws `GatewaySilent` */
  async #requireGateway(
    name: string,
    configuration: InterfaceConfiguration,
    gateway: string | undefined,
  ): Promise<void> {
    const link = await getLink(this.#options.socket, name)
    const own = configuration.addresses.find(({ family }) => family === 'inet')?.local
    // Without a router nobody outside of the network can be cut off.
    if (link === undefined || own === undefined || gateway === undefined) return
    if (await answersArp(link, own, gateway, GATEWAY_DEADLINE)) return
    throw networkErrors.GatewaySilent({
      object: `router ${gateway}`,
      message: `does not answer on ${name} within ${GATEWAY_DEADLINE} ms`,
    })
  }

  /** Whatever state things are in. @throws `KernelRefused` when the interface does not have everything afterwards */
  async #giveBack(record: TakeoverRecord, configuration: InterfaceConfiguration): Promise<void> {
    const names = { interface: record.interface, bridge: record.bridge }
    if ((await getLink(this.#options.socket, names.interface)) !== undefined) {
      await runMove(giveBackCommands(configuration, names), true)
      const actual = await readConfiguration(names.interface)
      if (!isSameConfiguration(actual, configuration)) {
        throw networkErrors.KernelRefused({
          object: `interface ${names.interface}`,
          message: 'did not get everything back that it had',
          expected: JSON.stringify({ ...configuration, mac: undefined, mtu: undefined }).slice(0, 600),
        })
      }
    }
    await this.#options.journal.clear()
  }
}

/** @param forcibly goes on after a command that failed */
async function runMove({ inet, inet6 }: MoveCommands, forcibly: boolean): Promise<void> {
  for (const [family, commands] of [
    ['-4', inet],
    ['-6', inet6],
  ] as const) {
    if (commands.length === 0) continue
    await runCommand('ip', [family, ...(forcibly ? ['-force'] : []), '-batch', '-'], {
      input: `${commands.join('\n')}\n`,
      ...(forcibly ? { acceptedExitCodes: [0, 1, 2] } : {}),
    })
  }
}
