/** The link by which other hosts are reached. */
import {
  type Link,
  listAddresses,
  listLinks,
  listRoutes,
  type RouteSocket,
} from '../../netplugins/netlink/index.ts'

/**
 * The link with the address by which other hosts know this one; where no link has it (a host behind address
 * translation), the one of the default route.
 */
export async function findUplink(
  socket: RouteSocket,
  address: string | undefined,
): Promise<Link | undefined> {
  const links = await listLinks(socket)
  const own = (await listAddresses(socket)).find(entry => entry.address === address)
  const index = own?.link ?? (await listRoutes(socket)).find(route => route.destination === '0.0.0.0/0')?.link
  return links.find(link => link.index === index)
}
