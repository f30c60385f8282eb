/** Keeps containers from sending under addresses that are not theirs. */
import { isDroverError, type Logger, parseIpv4, parseIpv6, runCommand } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import { type GuardListing, readEcho, readListing } from './guard-listing.ts'
import {
  GUARD_TABLE,
  replacementDocument,
  SOURCES_SET,
  SOURCES_SET_6,
  type Source,
  sourceKey,
} from './guard-ruleset.ts'
import { concatenatedKey, SetElementSocket, type SetName } from './set-elements.ts'

/** NFPROTO_BRIDGE (linux/netfilter.h). */
const BRIDGE_FAMILY = 7

/** Length of an interface's name in the kernel. */
const IFNAMSIZ = 16

/** Sources that are made with the rules, in one step; an argument of a program has 128 KiB at most. */
const DOCUMENT_LIMIT = 1000

function setOf({ gatewayMac }: Source): SetName {
  const set = gatewayMac === undefined ? SOURCES_SET : SOURCES_SET_6
  return { family: BRIDGE_FAMILY, table: GUARD_TABLE, set }
}

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex')
}

export interface SourceGuardOptions {
  /** How the links of containers begin: what comes in there and is not admitted is dropped. */
  readonly linkPrefix: string
  readonly log: Logger
}

function elementKey({ link, mac, address, gatewayMac }: Source): Buffer {
  const name = Buffer.alloc(IFNAMSIZ)
  name.write(link, 'latin1')
  if (gatewayMac !== undefined) {
    const ip6 = parseIpv6(address) ?? Buffer.alloc(16)
    return concatenatedKey(name, macBytes(mac), macBytes(gatewayMac), ip6)
  }
  const ip = Buffer.alloc(4)
  ip.writeUInt32BE(parseIpv4(address) ?? 0)
  return concatenatedKey(name, macBytes(mac), ip)
}

function isMissing(stderr: string): boolean {
  return /No such file or directory/.test(stderr)
}

function refused(action: string, stderr: string): Error {
  return networkErrors.GuardRefused({
    object: `nftables table ${GUARD_TABLE}`,
    message: `nft cannot ${action} it: ${stderr.trim().slice(0, 300)}`,
  })
}

/**
 * Removes the rules from this host; containers may send what they like then.
 *
 * @throws `GuardRefused`, `DeadlineExceeded`
 */
export async function removeSourceGuard(log: Logger): Promise<void> {
  try {
    const { stderr, exitCode } = await runCommand('nft', ['delete', 'table', 'bridge', GUARD_TABLE], {
      acceptedExitCodes: [0, 1],
    })
    if (exitCode !== 0 && !isMissing(stderr)) throw refused('remove', stderr)
  } catch (error) {
    // Without the program there never were rules.
    if (!isDroverError(error, 'CommandMissing')) throw error
    log.debug('no nft on this host')
  }
}

export class SourceGuard {
  readonly #options: SourceGuardOptions
  readonly #elements = new SetElementSocket()
  /** By link. */
  readonly #admitted = new Map<string, readonly Source[]>()
  /** The rules in nft's own words; undefined while they are not there. */
  #rules: string | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: SourceGuardOptions) {
    this.#options = options
  }

  /**
   * Lets a container send, before it can. Replaces what was admitted on its link. Until the first `verify` it is only
   * remembered.
   *
   * @param others further addresses on the same link
   * @throws `KernelRefused`, `KernelSilent`
   */
  admit(source: Source, ...others: readonly Source[]): Promise<void> {
    return this.#inTurn(async () => {
      const sources = [source, ...others]
      const keys = new Set(sources.map(sourceKey))
      const before = this.#admitted.get(source.link) ?? []
      this.#admitted.set(source.link, sources)
      for (const old of before) if (!keys.has(sourceKey(old))) await this.#delete(old)
      for (const one of sources) {
        if (this.#rules === undefined || (await this.#elements.add(setOf(one), elementKey(one)))) continue
        // Somebody removed all of it.
        await this.#replace()
      }
    })
  }

  /** Takes back what was admitted on a link; nothing is fine. @throws `KernelRefused`, `KernelSilent` */
  expel(link: string): Promise<void> {
    return this.#inTurn(async () => {
      const sources = this.#admitted.get(link) ?? []
      this.#admitted.delete(link)
      for (const source of sources) await this.#delete(source)
    })
  }

  /**
   * Makes the rules as they should be, whatever is there.
   *
   * @param desired who may send what
   * @param isBusy says of a link that somebody is making or removing it: what was admitted there stays as it is
   * @returns whether anything had to be changed
   * @throws `GuardRefused`, `CommandMissing`, `DeadlineExceeded`, `KernelRefused`
   */
  verify(desired: () => readonly Source[], isBusy: (link: string) => boolean): Promise<boolean> {
    return this.#inTurn(async () => {
      this.#adopt(desired(), isBusy)
      const actual = await this.#read()
      if (actual === undefined || this.#rules === undefined || actual.rules !== this.#rules) {
        await this.#replace()
        return true
      }
      return await this.#repair(actual.sources)
    })
  }

  close(): void {
    this.#elements.close()
  }

  #adopt(desired: readonly Source[], isBusy: (link: string) => boolean): void {
    for (const link of [...this.#admitted.keys()]) if (!isBusy(link)) this.#admitted.delete(link)
    for (const source of desired) {
      if (isBusy(source.link)) continue
      this.#admitted.set(source.link, [...(this.#admitted.get(source.link) ?? []), source])
    }
  }

  async #delete(source: Source): Promise<void> {
    if (this.#rules !== undefined) await this.#elements.delete(setOf(source), elementKey(source))
  }

  async #repair(actual: readonly Source[]): Promise<boolean> {
    const present = new Set(actual.map(sourceKey))
    const admitted = [...this.#admitted.values()].flat()
    const wanted = new Set(admitted.map(sourceKey))
    const stale = actual.filter(source => !wanted.has(sourceKey(source)))
    const missing = admitted.filter(source => !present.has(sourceKey(source)))
    for (const source of stale) await this.#elements.delete(setOf(source), elementKey(source))
    for (const source of missing) await this.#elements.add(setOf(source), elementKey(source))
    if (stale.length + missing.length === 0) return false
    this.#options.log.info(
      { stale: stale.length, missing: missing.length },
      'repaired the addresses under which containers may send',
    )
    return true
  }

  async #replace(): Promise<void> {
    this.#rules = undefined
    const sources = [...this.#admitted.values()].flat()
    const document = replacementDocument(this.#options.linkPrefix, sources.slice(0, DOCUMENT_LIMIT))
    // As an argument: nft cannot read its input twice from a socket, and twice is how it makes an echo.
    const { stdout, stderr, exitCode } = await runCommand(
      'nft',
      ['--json', '--numeric', '--echo', document],
      {
        acceptedExitCodes: [0, 1],
      },
    )
    if (exitCode !== 0) throw refused('make', stderr)
    // Not read again: somebody may have changed them since.
    this.#rules = readEcho(stdout)
    for (const source of sources.slice(DOCUMENT_LIMIT)) {
      await this.#elements.add(setOf(source), elementKey(source))
    }
    this.#options.log.info(
      { sources: this.#admitted.size },
      'made the rules that keep containers to their addresses',
    )
  }

  async #read(): Promise<GuardListing | undefined> {
    const { stdout, stderr, exitCode } = await runCommand(
      'nft',
      ['--json', '--numeric', 'list', 'table', 'bridge', GUARD_TABLE],
      { acceptedExitCodes: [0, 1] },
    )
    if (exitCode === 0) return readListing(stdout)
    if (isMissing(stderr)) return undefined
    throw refused('read', stderr)
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => undefined)
    return turn
  }
}
