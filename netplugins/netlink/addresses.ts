/** IPv4 addresses of links (RTM_*ADDR). */
import { FlagsNew } from 'netlink'
import { kernelErrorCode, type RouteSocket } from './route-socket.ts'
import { AF_INET, decodeIpv4, encodeIpv4 } from './wire.ts'

export interface LinkAddress {
  /** Index of the link. */
  readonly link: number
  readonly address: string
  readonly prefixLength: number
}

/** All IPv4 addresses, or those of one link. */
export async function listAddresses(socket: RouteSocket, link?: number): Promise<LinkAddress[]> {
  const messages = await socket.request('addresses', 'list', (kernel, options) =>
    kernel.getAddresses({ family: AF_INET }, undefined, options),
  )
  return messages
    .flatMap(({ data, attrs }) => {
      // On a point-to-point link `address` is the other end; `local` is always ours.
      const address = decodeIpv4(attrs.local ?? attrs.address)
      if (data.index === undefined || data.prefixlen === undefined || address === undefined) return []
      return [{ link: data.index, address, prefixLength: data.prefixlen }]
    })
    .filter(entry => link === undefined || entry.link === link)
}

/** The last address of the block that `address` is in, as IFA_BROADCAST wants it. */
function broadcastOf(address: Buffer, prefixLength: number): Buffer {
  const hostBits = prefixLength === 0 ? 0xffffffff : 0xffffffff >>> prefixLength
  const broadcast = Buffer.alloc(4)
  broadcast.writeUInt32BE((address.readUInt32BE() | hostBits) >>> 0)
  return broadcast
}

/** Numbers of `rt_scope_t` (rtnetlink(7)). */
const SCOPE = { global: 0, host: 254 } as const

/**
 * Gives a link an address; one that it has already is fine.
 *
 * @param scope `host` for one that must never be the source address of what leaves this host
 * @throws `KernelRefused`
 */
export async function addAddress(
  socket: RouteSocket,
  entry: LinkAddress,
  scope: keyof typeof SCOPE = 'global',
): Promise<void> {
  const address = encodeIpv4(entry.address)
  await socket.request(`address ${entry.address}/${entry.prefixLength}`, 'add', (kernel, options) =>
    kernel.newAddress(
      { family: AF_INET, prefixlen: entry.prefixLength, index: entry.link, scope: SCOPE[scope] },
      {
        local: address,
        address,
        // RFC 3021: the two-address and one-address blocks have no broadcast address.
        ...(entry.prefixLength < 31 ? { broadcast: broadcastOf(address, entry.prefixLength) } : {}),
      },
      { ...options, flags: FlagsNew.CREATE | FlagsNew.REPLACE },
    ),
  )
}

/** @returns false when the link did not have it */
export async function deleteAddress(socket: RouteSocket, entry: LinkAddress): Promise<boolean> {
  const address = encodeIpv4(entry.address)
  try {
    await socket.request(`address ${entry.address}/${entry.prefixLength}`, 'delete', (kernel, options) =>
      kernel.delAddress(
        { family: AF_INET, prefixlen: entry.prefixLength, index: entry.link },
        { local: address, address },
        options,
      ),
    )
    return true
  } catch (error) {
    if (kernelErrorCode(error) === 'EADDRNOTAVAIL') return false
    throw error
  }
}
