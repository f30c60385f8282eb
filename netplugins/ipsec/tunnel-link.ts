/** The link through which containers' packets are encrypted: charon's TUN device, or an xfrm interface of the kernel. */
import { type Ipv6Prefix, parseIpv4Block, runCommand, withIpv6Prefix } from '../../kit/index.ts'
import { disableIpv6, enableQuietIpv6 } from '../bridge/index.ts'
import { networkErrors } from '../errors.ts'
import {
  addAddress,
  deleteAddress,
  getLink,
  type IpFamily,
  type Link,
  LinkRemover,
  listAddresses,
  type RouteSocket,
  setLink,
} from '../netlink/index.ts'
import { hostAddressOf, type OverlayState } from '../overlay/index.ts'
import type { CharonProcess } from './charon-process.ts'
import { type Backend, INTERFACE_ID } from './connection.ts'

/** Name of the xfrm interface; begins like those that charon gives its TUN devices, so that one rule fits both. */
export const XFRM_LINK = 'ipsec-drover'

/** As firewall rules know either. */
export const TUNNEL_LINKS = 'ipsec+'

/**
 * The addresses of this host in its blocks, one in each: charon's own encryption only takes on a block in which the host
 * has an address. The first is where packets of the host itself come from. None of them may be handed out to containers.
 */
export function hostAddressesOf(clusterBlock: string, blocks: readonly string[]): string[] {
  return blocks
    .filter(block => parseIpv4Block(block) !== undefined)
    .map(block => hostAddressOf(clusterBlock, [block]))
    .filter(address => address !== undefined)
}

/**
 * Bytes of a packet that charon reads from its TUN device: it takes the length that the device had when it was made, and
 * cuts off the rest of longer ones.
 */
const TUN_MTU = 1400

export interface TunnelLink {
  readonly index: number
  readonly name: string
  /** Of the bridge, from which its own follows. */
  readonly bridgeMtu: number | undefined
  /** How many things about it were not as they should be. */
  readonly repairs: number
}

/**
 * Makes the link as it should be.
 *
 * @throws `KernelRefused`; `CharonFailed` when charon has no TUN device
 */
export async function ensureTunnelLink(
  socket: RouteSocket,
  charon: CharonProcess,
  backend: Backend,
  state: OverlayState,
): Promise<TunnelLink> {
  const name = backend === 'kernel' ? XFRM_LINK : await tunName(charon)
  const link = await requireLink(socket, name, backend)
  let { repairs } = link
  const bridge = await getLink(socket, state.bridgeName)
  const wanted = bridge?.mtu ?? link.mtu
  const mtu = backend === 'userspace' ? Math.min(wanted, TUN_MTU) : wanted
  if (!link.up || link.mtu !== mtu) {
    await setLink(socket, name, { up: true, mtu })
    repairs += 1
  }
  const own = hostAddressesOf(state.clusterBlock, state.blocks)
  repairs += await ensureAddresses(socket, link.index, own, 4)
  repairs += await ensureIpv6(socket, link, own, state.ipv6Prefix)
  return { index: link.index, name, bridgeMtu: bridge?.mtu, repairs }
}

/** Removes what outlives charon. */
export async function removeTunnelLink(socket: RouteSocket): Promise<void> {
  if ((await getLink(socket, XFRM_LINK)) !== undefined) await new LinkRemover(socket).remove(XFRM_LINK)
}

async function tunName(charon: CharonProcess): Promise<string> {
  const [name] = await charon.tunNames()
  if (name === undefined)
    throw networkErrors.CharonFailed({ object: 'charon', message: 'has not opened a TUN device' })
  return name
}

async function requireLink(
  socket: RouteSocket,
  name: string,
  backend: Backend,
): Promise<Link & { repairs: number }> {
  const present = await getLink(socket, name)
  if (present !== undefined) return { ...present, repairs: 0 }
  if (backend === 'kernel') {
    const id = String(INTERFACE_ID)
    await runCommand('ip', ['link', 'add', name, 'type', 'xfrm', 'dev', 'lo', 'if_id', id])
    const made = await getLink(socket, name)
    if (made !== undefined) return { ...made, repairs: 1 }
  }
  throw networkErrors.KernelRefused({ object: `link ${name}`, message: 'is missing' })
}

/** @param own the host's addresses of IPv4 */
async function ensureIpv6(
  socket: RouteSocket,
  { name, index }: Link,
  own: readonly string[],
  prefix: Ipv6Prefix | undefined,
): Promise<number> {
  // The kernel would send questions for IPv6 routers into the tunnel.
  if (prefix === undefined) {
    await disableIpv6(name)
    return 0
  }
  await enableQuietIpv6(name)
  const wanted = own.map(address => withIpv6Prefix(prefix, address))
  return await ensureAddresses(socket, index, wanted, 6)
}

async function ensureAddresses(
  socket: RouteSocket,
  link: number,
  wanted: readonly string[],
  family: IpFamily,
): Promise<number> {
  const prefixLength = family === 6 ? 128 : 32
  const present = await listAddresses(socket, link, family)
  const isWanted = (address: string) => wanted.includes(address)
  const superfluous = present.filter(entry => !isWanted(entry.address) || entry.prefixLength !== prefixLength)
  for (const entry of superfluous) await deleteAddress(socket, entry)
  const missing = wanted.filter(address => !present.some(entry => entry.address === address))
  for (const address of missing) await addAddress(socket, { link, address, prefixLength })
  return superfluous.length + missing.length
}
