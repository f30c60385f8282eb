/** The neighbour tables: of ARP for IPv4, of neighbour discovery for IPv6 (RTM_*NEIGH). */
import { FlagsNew } from 'netlink'
import type { KernelObject } from './kernel-objects.ts'
import { type KernelRequest, kernelErrorCode, type RouteSocket } from './route-socket.ts'
import {
  decodeAddress,
  decodeMac,
  encodeAddress,
  encodeMac,
  familyNumber,
  familyOf,
  type IpFamily,
} from './wire.ts'

export interface Neighbour {
  /** Index of the link it is reached by. */
  readonly link: number
  readonly address: string
  /** Undefined while it is being resolved, or could not be. */
  readonly mac: string | undefined
  /** Set by hand and kept until deleted, in contrast to learnt. */
  readonly permanent: boolean
}

/** A neighbour set by hand. */
export interface PermanentNeighbour {
  readonly link: number
  readonly address: string
  readonly mac: string
}

export async function listNeighbours(
  socket: RouteSocket,
  link: number,
  family: IpFamily = 4,
): Promise<Neighbour[]> {
  const messages = await socket.request('neighbours', 'list', (kernel, options) =>
    kernel.getNeighbors({ family: familyNumber(family) }, undefined, options),
  )
  return messages.flatMap(({ data, attrs }) => {
    const address = decodeAddress(attrs.dst)
    if (data.ifindex !== link || address === undefined) return []
    return [{ link, address, mac: decodeMac(attrs.lladdr), permanent: data.state?.permanent === true }]
  })
}

function newNeighbour(neighbour: PermanentNeighbour): KernelRequest {
  const { link, address, mac } = neighbour
  const family = familyNumber(familyOf(address))
  const attributes = { dst: encodeAddress(address), lladdr: encodeMac(mac) }
  return {
    object: `neighbour ${address}`,
    action: 'add',
    call: (kernel, options) =>
      kernel.newNeighbor({ family, ifindex: link, state: { permanent: true } }, attributes, {
        ...options,
        flags: FlagsNew.CREATE | FlagsNew.REPLACE,
      }),
  }
}

function removeNeighbour(link: number, address: string): KernelRequest {
  const family = familyNumber(familyOf(address))
  const dst = encodeAddress(address)
  return {
    object: `neighbour ${address}`,
    action: 'delete',
    call: (kernel, options) => kernel.delNeighbor({ family, ifindex: link }, { dst }, options),
    satisfiedBy: ['ENOENT', 'ENODEV'],
  }
}

/** A permanent neighbour as an object to be reconciled. @throws `InvalidFormat` */
export function neighbourObject(neighbour: PermanentNeighbour): KernelObject {
  const { link, address, mac } = neighbour
  return {
    key: `neighbour ${link} ${address}`,
    value: mac,
    // Over one that was learnt, too.
    add: () => newNeighbour(neighbour),
    replace: () => newNeighbour(neighbour),
    remove: () => removeNeighbour(link, address),
  }
}

/** Enters a permanent neighbour, or changes the one with the same address. @throws `KernelRefused` */
export async function replaceNeighbour(socket: RouteSocket, neighbour: PermanentNeighbour): Promise<void> {
  const { object, action, call } = newNeighbour(neighbour)
  await socket.request(object, action, call)
}

/** @returns false when it was not in the table */
export async function deleteNeighbour(socket: RouteSocket, link: number, address: string): Promise<boolean> {
  const { object, action, call } = removeNeighbour(link, address)
  try {
    await socket.request(object, action, call)
    return true
  } catch (error) {
    // EAFNOSUPPORT: the kernel lost the family since.
    if (['ENOENT', 'EAFNOSUPPORT'].includes(kernelErrorCode(error) ?? '')) return false
    throw error
  }
}
