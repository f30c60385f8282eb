/** Addresses of links (RTM_*ADDR). */
import { FlagsNew } from 'netlink'
import { kernelErrorCode, type RouteSocket } from './route-socket.ts'
import { decodeAddress, encodeAddress, familyNumber, familyOf, type IpFamily } from './wire.ts'

export interface LinkAddress {
  /** Index of the link. */
  readonly link: number
  readonly address: string
  readonly prefixLength: number
}

/** All addresses of a family, or those of one link. */
export async function listAddresses(
  socket: RouteSocket,
  link?: number,
  family: IpFamily = 4,
): Promise<LinkAddress[]> {
  const messages = await socket.request('addresses', 'list', (kernel, options) =>
    kernel.getAddresses({ family: familyNumber(family) }, undefined, options),
  )
  return messages
    .flatMap(({ data, attrs }) => {
      // On a point-to-point link `address` is the other end; `local` is always ours.
      const address = decodeAddress(attrs.local ?? attrs.address)
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
 * Gives a link an address; one that it has already is fine. Nobody is asked whether an IPv6 address is taken (no duplicate
 * address detection): it counts at once.
 *
 * @param scope `host` for one that must never be the source address of what leaves this host
 * @throws `KernelRefused`
 */
export async function addAddress(
  socket: RouteSocket,
  entry: LinkAddress,
  scope: keyof typeof SCOPE = 'global',
): Promise<void> {
  const address = encodeAddress(entry.address)
  const family = familyOf(entry.address)
  // RFC 3021: the two-address and one-address blocks have no broadcast address.
  const hasBroadcast = family === 4 && entry.prefixLength < 31
  await socket.request(`address ${entry.address}/${entry.prefixLength}`, 'add', (kernel, options) =>
    kernel.newAddress(
      {
        family: familyNumber(family),
        prefixlen: entry.prefixLength,
        index: entry.link,
        scope: SCOPE[scope],
        ...(family === 6 ? { flags: { nodad: true } } : {}),
      },
      {
        local: address,
        address,
        ...(hasBroadcast ? { broadcast: broadcastOf(address, entry.prefixLength) } : {}),
      },
      { ...options, flags: FlagsNew.CREATE | FlagsNew.REPLACE },
    ),
  )
}

/** @returns false when the link did not have it */
export async function deleteAddress(socket: RouteSocket, entry: LinkAddress): Promise<boolean> {
  const address = encodeAddress(entry.address)
  try {
    await socket.request(`address ${entry.address}/${entry.prefixLength}`, 'delete', (kernel, options) =>
      kernel.delAddress(
        {
          family: familyNumber(familyOf(entry.address)),
          prefixlen: entry.prefixLength,
          index: entry.link,
        },
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
