/**
 * IPv6 without neighbour discovery: nobody on these links asks who has an address, and nobody believes who says so. What
 * has to be known is entered by hand.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { networkErrors } from '../errors.ts'
import {
  addAddress,
  deleteAddress,
  inNetworkNamespace,
  type LinkAddress,
  listAddresses,
  type RouteSocket,
} from '../netlink/index.ts'
import { setSysctl, setSysctlIfPresent } from './sysctl.ts'

/**
 * Of a link, below `net/ipv6/conf`: no link-local address, without which the kernel sends no redirects either, and no
 * ear for routers (CVE-2020-13401). The last one switches IPv6 on.
 */
const QUIET: readonly (readonly [name: string, value: string])[] = [
  ['addr_gen_mode', '1'],
  ['accept_ra', '0'],
  ['accept_redirects', '0'],
  ['disable_ipv6', '0'],
]

/** Switches IPv6 on for a link of the host. @throws `KernelRefused` */
export async function enableQuietIpv6(link: string): Promise<void> {
  // What nobody has entered is unreachable at once: many unknown addresses must not fill the table of neighbours.
  await setSysctl(`net/ipv6/neigh/${link}/mcast_solicit`, '0')
  for (const [name, value] of QUIET) await setSysctl(`net/ipv6/conf/${link}/${name}`, value)
}

/** Switches IPv6 off for a link of the host; its addresses, routes and neighbours go with it. @throws `KernelRefused` */
export async function disableIpv6(link: string): Promise<void> {
  await setSysctlIfPresent(`net/ipv6/conf/${link}/disable_ipv6`, '1')
}

/**
 * Gives a link one IPv6 address and takes all others away.
 *
 * @returns how many things were not as they should be
 * @throws `KernelRefused`
 */
export async function keepOnlyIpv6Address(
  socket: RouteSocket,
  link: number,
  wanted: Omit<LinkAddress, 'link'> | undefined,
): Promise<number> {
  const present = await listAddresses(socket, link, 6)
  const others = present.filter(
    entry => entry.address !== wanted?.address || entry.prefixLength !== wanted.prefixLength,
  )
  for (const entry of others) await deleteAddress(socket, entry)
  if (wanted === undefined || others.length < present.length) return others.length
  await addAddress(socket, { link, ...wanted })
  return others.length + 1
}

/**
 * Switches IPv6 on for an interface of a container, and for its loopback: container runtimes switch it off.
 *
 * @throws `KernelRefused`, `NamespaceMissing`
 */
export function enableQuietIpv6Inside(namespace: string, interfaceName: string): void {
  const settings = [
    ...QUIET.map(([name, value]) => [`${interfaceName}/${name}`, value] as const),
    ['lo/disable_ipv6', '0'] as const,
  ]
  inNetworkNamespace(namespace, () => {
    for (const [name, value] of settings) {
      const file = `/proc/sys/net/ipv6/conf/${name}`
      try {
        if (readFileSync(file, 'utf8').trim() !== value) writeFileSync(file, value)
      } catch (cause) {
        throw networkErrors.KernelRefused({
          object: `kernel setting net/ipv6/conf/${name} of ${namespace}`,
          message: `cannot be set to ${value}`,
          cause,
        })
      }
    }
  })
}
