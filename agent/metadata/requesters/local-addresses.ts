/** Which addresses are this host's own, and which can only be those of its containers. */
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import { type Clock, type Ipv4Block, ipv4BlockContains, parseIpv4, systemClock } from '../../../kit/index.ts'

/** What is known of a source address without asking the metadata. */
export interface SourceAddresses {
  /** One of this host's own addresses. */
  isHostAddress(address: string): boolean
  /** An address of a network whose members are containers of this host. */
  isContainerAddress(address: string): boolean
}

export interface LocalAddressesOptions {
  /** Whether an interface of this host is a bridge with containers behind it, by its name. */
  readonly isContainerBridge: (interfaceName: string) => boolean
  readonly interfaces?: () => NodeJS.Dict<NetworkInterfaceInfo[]>
  readonly clock?: Clock
}

/** Milliseconds for which the kernel's answer is good. */
const LIFETIME = 5_000
/** For an address that is in none of it, the kernel is asked again after this many milliseconds. */
const DOUBT = 500

function blockOf({ address, cidr }: NetworkInterfaceInfo): Ipv4Block | undefined {
  const prefix = Number(cidr?.split('/')[1])
  const value = parseIpv4(address)
  if (value === undefined || !Number.isInteger(prefix)) return undefined
  const mask = prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0
  return { base: (value & mask) >>> 0, prefixLength: prefix }
}

/** Reads the addresses of the kernel's interfaces, now and then. */
export class LocalAddresses implements SourceAddresses {
  readonly #options: LocalAddressesOptions
  readonly #clock: Clock
  #own = new Set<string>()
  #bridged: Ipv4Block[] = []
  #readAt = Number.NEGATIVE_INFINITY

  constructor(options: LocalAddressesOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  isHostAddress(address: string): boolean {
    if (this.#age > LIFETIME) this.#read()
    if (this.#isOwn(address)) return true
    if (this.#age < DOUBT) return false
    if (!this.#isBridged(address)) this.#read()
    return this.#isOwn(address)
  }

  isContainerAddress(address: string): boolean {
    return !this.isHostAddress(address) && this.#isBridged(address)
  }

  get #age(): number {
    return this.#clock.monotonic() - this.#readAt
  }

  #isOwn(address: string): boolean {
    return this.#own.has(address) || address.startsWith('127.')
  }

  #isBridged(address: string): boolean {
    const value = parseIpv4(address)
    return value !== undefined && this.#bridged.some(block => ipv4BlockContains(block, value))
  }

  #read(): void {
    const interfaces = (this.#options.interfaces ?? networkInterfaces)()
    this.#readAt = this.#clock.monotonic()
    this.#own = new Set()
    this.#bridged = []
    for (const [name, addresses] of Object.entries(interfaces)) {
      for (const entry of addresses ?? []) {
        this.#own.add(entry.address)
        const block = this.#options.isContainerBridge(name) ? blockOf(entry) : undefined
        if (block !== undefined) this.#bridged.push(block)
      }
    }
  }
}
