/** Keeps the address that containers ask for metadata on the loopback of this host. */

import { networkErrors } from '../../netplugins/index.ts'
import {
  addAddress,
  deleteAddress,
  getLink,
  listAddresses,
  type RouteSocket,
} from '../../netplugins/netlink/index.ts'

async function loopbackIndex(socket: RouteSocket): Promise<number> {
  const link = await getLink(socket, 'lo')
  if (link === undefined) throw networkErrors.KernelRefused({ object: 'link lo', message: 'is missing' })
  return link.index
}

/** @throws `KernelRefused` */
export async function ensureMetadataAddress(socket: RouteSocket, address: string): Promise<void> {
  const link = await loopbackIndex(socket)
  const present = await listAddresses(socket, link)
  if (present.some(entry => entry.address === address && entry.prefixLength === 32)) return
  await addAddress(socket, { link, address, prefixLength: 32 }, 'host')
}

/** @throws `KernelRefused` */
export async function removeMetadataAddress(socket: RouteSocket, address: string): Promise<void> {
  await deleteAddress(socket, { link: await loopbackIndex(socket), address, prefixLength: 32 })
}
