/** Names and addresses that follow from what they are for, so that they are the same after every restart. */
import { createHash } from 'node:crypto'
import { kitErrors, parseIpv4 } from '../../kit/index.ts'

/** How the host's ends of our veth pairs begin. */
export const HOST_INTERFACE_PREFIX = 'vethr'

/** First two octets of derived MAC addresses: locally administered, and not Docker's 02:42. */
const MAC_PREFIX = '02:d0'

/** The host's end of a container's interface: 15 characters, the longest name that Linux takes. */
export function hostInterfaceName(containerId: string, interfaceName: string): string {
  const hash = createHash('sha256').update(`${containerId}/${interfaceName}`).digest('hex')
  return `${HOST_INTERFACE_PREFIX}${hash.slice(0, 10)}`
}

/**
 * The MAC address of whoever has the IPv4 address: unique because that is, and the same for the next container with
 * that address, so that no neighbour's ARP cache is ever wrong.
 *
 * @throws `InvalidFormat`
 */
export function macOfAddress(address: string): string {
  const value = parseIpv4(address)
  if (value === undefined) {
    throw kitErrors.InvalidFormat({ object: 'address', message: `${address} is not an IPv4 address` })
  }
  const octets = [24, 16, 8, 0].map(shift => ((value >>> shift) & 255).toString(16).padStart(2, '0'))
  return [MAC_PREFIX, ...octets].join(':')
}
