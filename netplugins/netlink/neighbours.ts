/** The IPv4 neighbour (ARP) table (RTM_*NEIGH). */
import { FlagsNew } from 'netlink'
import { kernelErrorCode, type RouteSocket } from './route-socket.ts'
import { AF_INET, decodeIpv4, decodeMac, encodeIpv4, encodeMac } from './wire.ts'

export interface Neighbour {
  /** Index of the link it is reached by. */
  readonly link: number
  readonly address: string
  /** Undefined while it is being resolved, or could not be. */
  readonly mac: string | undefined
  /** Set by hand and kept until deleted, in contrast to learnt by ARP. */
  readonly permanent: boolean
}

export async function listNeighbours(socket: RouteSocket, link: number): Promise<Neighbour[]> {
  const messages = await socket.request('neighbours', 'list', (kernel, options) =>
    kernel.getNeighbors({ family: AF_INET }, undefined, options),
  )
  return messages.flatMap(({ data, attrs }) => {
    const address = decodeIpv4(attrs.dst)
    if (data.ifindex !== link || address === undefined) return []
    return [{ link, address, mac: decodeMac(attrs.lladdr), permanent: data.state?.permanent === true }]
  })
}

/** Enters a permanent neighbour, or changes the one with the same address. @throws `KernelRefused` */
export async function replaceNeighbour(
  socket: RouteSocket,
  neighbour: { readonly link: number; readonly address: string; readonly mac: string },
): Promise<void> {
  await socket.request(`neighbour ${neighbour.address}`, 'add', (kernel, options) =>
    kernel.newNeighbor(
      { family: AF_INET, ifindex: neighbour.link, state: { permanent: true } },
      { dst: encodeIpv4(neighbour.address), lladdr: encodeMac(neighbour.mac) },
      { ...options, flags: FlagsNew.CREATE | FlagsNew.REPLACE },
    ),
  )
}

/** @returns false when it was not in the table */
export async function deleteNeighbour(socket: RouteSocket, link: number, address: string): Promise<boolean> {
  try {
    await socket.request(`neighbour ${address}`, 'delete', (kernel, options) =>
      kernel.delNeighbor({ family: AF_INET, ifindex: link }, { dst: encodeIpv4(address) }, options),
    )
    return true
  } catch (error) {
    if (kernelErrorCode(error) === 'ENOENT') return false
    throw error
  }
}
