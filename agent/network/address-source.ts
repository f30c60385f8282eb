/** Where containers' addresses come from: the host's blocks, or a range of the hosts' own network. */
import { type Ipv6Prefix, isDroverError, parseIpv4, parseIpv6, withIpv6Prefix } from '../../kit/index.ts'
import type { CniAttachmentRequest } from '../../netplugins/cni/index.ts'
import type { FlatNetwork } from '../../netplugins/flat/index.ts'
import { networkErrors } from '../../netplugins/index.ts'
import type { AddressOwner, AddressPool } from '../../netplugins/ipam/index.ts'
import { ANY_ADDRESS } from './attachment.ts'
import type { ContainerLinks } from './container-links.ts'
import type { NetworkPlan } from './settings.ts'

/** Fewer free addresses than this, and the host needs another block. */
const FEW_ADDRESSES = 8

/** Addresses of the hosts' network that are tried for one container: each question takes 150 ms. */
const TRIES = 32

function refused(message: string, expected: string): Error {
  return networkErrors.UnsupportedCniField({ object: 'ips', message, expected })
}

/**
 * The IPv4 address that is asked for; undefined when none is. The IPv6 address that follows from it may be named, too.
 *
 * @param addresses with or without prefix length
 * @throws `UnsupportedCniField`
 */
export function requestedAddress(
  addresses: readonly string[],
  prefix: Ipv6Prefix | undefined,
): string | undefined {
  const texts = addresses.map(address => address.split('/')[0] ?? '')
  const [ipv4, ...others] = texts.filter(text => parseIpv6(text) === undefined)
  const wanted6 = texts.filter(text => parseIpv6(text) !== undefined)
  if (others.length > 0) throw refused('asks for several addresses', 'one IPv4 address')
  if (wanted6.length === 0) return ipv4
  if (prefix === undefined)
    throw refused('asks for an IPv6 address', 'an IPv4 address: containers have no other')
  const following =
    ipv4 === undefined || parseIpv4(ipv4) === undefined ? undefined : withIpv6Prefix(prefix, ipv4)
  if (following === undefined) {
    throw refused(
      'asks for an IPv6 address alone',
      `an IPv4 address, from which it follows by ${prefix.text}`,
    )
  }
  if (wanted6.every(text => parseIpv6(text)?.equals(parseIpv6(following) ?? Buffer.alloc(0)) === true)) {
    return ipv4
  }
  throw refused(
    `asks for an IPv6 address that does not go with ${ipv4}`,
    `${following}, which follows from it by ${prefix.text}`,
  )
}

export interface AddressSourceParts {
  readonly pool: AddressPool
  readonly links: ContainerLinks
  /** Called when few addresses are left, or none. */
  readonly addressesLow: (free: number) => void
}

export class AddressSource {
  readonly #parts: AddressSourceParts

  constructor(parts: AddressSourceParts) {
    this.#parts = parts
  }

  /**
   * Takes an address for a container; it is given back by `AddressPool.release`.
   *
   * @returns `0.0.0.0` when the network's own server will choose it
   * @throws those of `AddressPool.allocate` and `FlatNetwork.requireFree`, `UnsupportedCniField`, `TryAgainLater`
   */
  async take(request: CniAttachmentRequest, plan: NetworkPlan): Promise<string> {
    const requested = requestedAddress(request.addresses, plan.ipv6Prefix)
    const owner = { containerId: request.containerId, interfaceName: request.interfaceName }
    const flat = this.#parts.links.flatOf(plan)
    if (flat === undefined) return await this.#takeOwn(owner, requested)
    if (plan.network.options.flat?.dhcp !== true) return await this.#takeFlat(flat, owner, requested)
    if (requested === undefined) return ANY_ADDRESS
    throw networkErrors.UnsupportedCniField({
      object: 'ips',
      message: "asks for an address, which the network's DHCP server chooses",
    })
  }

  async #takeOwn(owner: AddressOwner, requested: string | undefined): Promise<string> {
    const { pool, addressesLow } = this.#parts
    try {
      return await pool.allocate(owner, requested)
    } finally {
      if (pool.free < FEW_ADDRESSES) addressesLow(pool.free)
    }
  }

  /** Other hosts hand out the same addresses, and others may be there too: the network is asked. */
  async #takeFlat(flat: FlatNetwork, owner: AddressOwner, requested: string | undefined): Promise<string> {
    const { pool } = this.#parts
    for (let tries = 1; ; tries += 1) {
      const address = await pool.allocate(owner, requested)
      try {
        await flat.requireFree(address)
        return address
      } catch (error) {
        await pool.release(owner)
        if (requested !== undefined || tries >= TRIES || !isDroverError(error, 'AddressInUse')) throw error
      }
    }
  }
}
