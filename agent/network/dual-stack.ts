/**
 * What a host does beside its usual network so that containers have IPv6 addresses: it passes on IPv6 packets. The host's
 * own IPv6 must not suffer from that, and must be as it was when containers have no IPv6 addresses any more.
 */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import {
  isDroverError,
  type Logger,
  readJsonFile,
  type Static,
  Type,
  validatorOf,
  writeFileDurably,
} from '../../kit/index.ts'
import {
  HOST_INTERFACE_PREFIX,
  readSysctl,
  setSysctl,
  setSysctlIfPresent,
} from '../../netplugins/bridge/index.ts'
import { networkErrors } from '../../netplugins/index.ts'
import { IptablesReconciler } from '../../netplugins/iptables/index.ts'
import { type Link, listLinks, type RouteSocket } from '../../netplugins/netlink/index.ts'
import { isDockerBridge } from './kernel-watch.ts'
import { IPV6_MINIMUM_MTU } from './settings.ts'

const recordSchema = Type.Object({
  /** Whether the host did not pass on IPv6 packets before. */
  forwardsOurs: Type.Boolean(),
  /** Links that listen to routers although the host is one now: they did before. */
  listening: Type.Array(Type.String({ maxLength: 15 })),
})

type DualStackRecord = Static<typeof recordSchema>

const recordValidator = validatorOf(recordSchema)

const FORWARDING = 'net/ipv6/conf/all/forwarding'

/** Values of accept_ra: from routers unless one is a router oneself, and in any case. */
const LISTENS = '1'
const LISTENS_ALWAYS = '2'

function unavailable(message: string, mend: string): Error {
  return networkErrors.Ipv6Unavailable({
    object: 'IPv6 addresses',
    message: `cannot be given to containers of this host: ${message}`,
    mend,
  })
}

/**
 * @param mtu of containers' links, in bytes
 * @throws `Ipv6Unavailable` where the host has no IPv6
 */
export async function requireIpv6(mtu: number): Promise<void> {
  const disabled = await readSysctl('net/ipv6/conf/all/disable_ipv6')
  if (disabled === undefined) throw unavailable('its kernel has no IPv6', 'start it with IPv6')
  if (disabled !== '0') {
    throw unavailable('IPv6 is switched off', 'set net.ipv6.conf.all.disable_ipv6 to 0')
  }
  if (mtu >= IPV6_MINIMUM_MTU) return
  throw unavailable(`packets have ${mtu} bytes at most`, `let them have ${IPV6_MINIMUM_MTU} bytes (RFC 8200)`)
}

async function hearsRouters(link: string): Promise<boolean> {
  if ((await readSysctl(`net/ipv6/conf/${link}/disable_ipv6`)) !== '0') return false
  return (await readSysctl(acceptRa(link))) === LISTENS
}

function acceptRa(link: string): string {
  return `net/ipv6/conf/${link}/accept_ra`
}

export interface DualStackOptions {
  /** Holds the record of what was changed. */
  readonly directory: string
  readonly log: Logger
}

export class DualStack {
  readonly #options: DualStackOptions
  readonly #file: string
  /** Of what was changed; undefined while nothing is. */
  #record: DualStackRecord | undefined

  private constructor(options: DualStackOptions, file: string, record: DualStackRecord | undefined) {
    this.#options = options
    this.#file = file
    this.#record = record
  }

  /** Reads what an earlier process changed. */
  static async open(options: DualStackOptions): Promise<DualStack> {
    const file = path.join(options.directory, 'ipv6.json')
    return new DualStack(options, file, await readRecord(file, options.log))
  }

  /** Whether this host passes on IPv6 packets for its containers alone. */
  get forwardsOurs(): boolean {
    return this.#record?.forwardsOurs === true
  }

  /** Notes how the host was, before anything of it is changed. */
  async begin(): Promise<void> {
    if (this.#record !== undefined) return
    await this.#write({ forwardsOurs: (await readSysctl(FORWARDING)) === '0', listening: [] })
  }

  /**
   * Makes the host pass on packets: it would not listen to routers any more, so those links that do must be told first.
   * Comes after the firewall rules.
   *
   * @throws `KernelRefused`
   */
  async forward(socket: RouteSocket): Promise<void> {
    const record = this.#record
    if (record === undefined || !record.forwardsOurs) return
    const links = await listLinks(socket)
    const found: string[] = []
    for (const link of links) {
      if (isUplink(link) && (await hearsRouters(link.name))) found.push(link.name)
    }
    if (found.length > 0) {
      const present = new Set(links.map(link => link.name))
      const known = record.listening.filter(name => present.has(name))
      await this.#write({ ...record, listening: [...new Set([...known, ...found])] })
      for (const name of found) await setSysctlIfPresent(acceptRa(name), LISTENS_ALWAYS)
      this.#options.log.info({ links: found }, 'listens to IPv6 routers as before')
    }
    await setSysctl(FORWARDING, '1')
  }

  /** Makes the host as it was, rules included; nothing when nothing was changed. @throws `KernelRefused`, `RulesRefused`, … */
  async end(removeRules: () => Promise<void>): Promise<void> {
    const record = this.#record
    if (record === undefined) return
    if (record.forwardsOurs) {
      await setSysctlIfPresent(FORWARDING, '0')
      for (const name of record.listening) {
        // Somebody may have decided otherwise since.
        if ((await readSysctl(acceptRa(name))) === LISTENS_ALWAYS) await setSysctl(acceptRa(name), LISTENS)
      }
    }
    await removeRules()
    await rm(this.#file, { force: true })
    this.#record = undefined
    this.#options.log.info('containers have no IPv6 addresses any more')
  }

  async #write(record: DualStackRecord): Promise<void> {
    await writeFileDurably(this.#file, JSON.stringify(record))
    this.#record = record
  }
}

async function readRecord(file: string, log: Logger): Promise<DualStackRecord | undefined> {
  try {
    return await readJsonFile(file, recordValidator)
  } catch (error) {
    if (!isDroverError(error, 'CorruptFile')) throw error
    log.warn(
      { reason: error.explain() },
      'does not know how the IPv6 of this host was, and leaves it as it is',
    )
    return { forwardsOurs: false, listening: [] }
  }
}

/** Something by which routers may be: ports of bridges hear nothing, and containers' bridges must not. */
function isUplink(link: Link): boolean {
  if (link.name === 'lo' || link.master !== undefined || link.name.startsWith(HOST_INTERFACE_PREFIX))
    return false
  return link.name !== 'docker0' && !isDockerBridge(link)
}

/** Makes the host as it was, whichever process changed it. @throws like `DualStack.end` */
export async function endDualStack(options: DualStackOptions): Promise<void> {
  const dualStack = await DualStack.open(options)
  await dualStack.end(() => removeRules6(options.log))
}

async function removeRules6(log: Logger): Promise<void> {
  try {
    await new IptablesReconciler(log, 6).remove()
  } catch (error) {
    // Without the program there never were rules.
    if (!isDroverError(error, 'CommandMissing')) throw error
  }
}
