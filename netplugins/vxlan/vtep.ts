/** The tunnel end point (VTEP): the link into which packets for other hosts go. */

import { parseIpv4 } from '../../kit/index.ts'
import { disableIpv6, enableQuietIpv6, keepOnlyIpv6Address } from '../bridge/index.ts'
import { networkErrors } from '../errors.ts'
import {
  addAddress,
  createVxlan,
  deleteAddress,
  getLink,
  type Link,
  type LinkRemover,
  listAddresses,
  listLinks,
  type RouteSocket,
  setLink,
  type VxlanOptions,
} from '../netlink/index.ts'

/** Names and numbers of the 2017 system; hosts of one cluster must agree on them. */
export const VTEP_NAME = 'vtep1042'
export const VXLAN_ID = 1042
export const VXLAN_PORT = 4789

/** Bytes by which a packet grows: outer IPv4, UDP and VXLAN headers, inner Ethernet header. */
export const VXLAN_OVERHEAD = 50

/** MTU of an uplink that could not be found: Ethernet's. */
const ETHERNET_MTU = 1500

/** How links of ours begin, also those of earlier versions and other identifiers. */
const VTEP_PREFIX = 'vtep'

/**
 * The MAC address of the VTEP of the host with that address, so that hosts know each other's without asking.
 *
 * @param address a valid IPv4 address
 */
export function vtepMac(address: string): string {
  const value = parseIpv4(address) ?? 0
  const octets = [24, 16, 8, 0].map(shift => ((value >>> shift) & 255).toString(16).padStart(2, '0'))
  return ['0e:00', ...octets].join(':')
}

/** How the VTEP of a host should be, given its address and the links it has. */
export function wantedVtep(address: string, uplink: Link | undefined, isLocal: boolean): VxlanOptions {
  return {
    name: VTEP_NAME,
    id: VXLAN_ID,
    port: VXLAN_PORT,
    // The address of a host behind address translation is on none of its links.
    local: isLocal ? address : undefined,
    learning: false,
    mac: vtepMac(address),
    mtu: (uplink?.mtu ?? ETHERNET_MTU) - VXLAN_OVERHEAD,
  }
}

/** Whether a link is what `wanted` says; `settings` cannot be changed in place, the rest can. */
export function compareVtep(link: Link, wanted: VxlanOptions): 'same' | 'changeable' | 'other' {
  const { vxlan } = link
  const sameSettings =
    vxlan !== undefined &&
    vxlan.id === wanted.id &&
    vxlan.port === wanted.port &&
    vxlan.local === wanted.local &&
    vxlan.learning === wanted.learning
  if (!sameSettings) return 'other'
  const same = link.mac === wanted.mac && link.mtu === wanted.mtu && link.master === undefined && link.up
  return same ? 'same' : 'changeable'
}

export interface EnsuredVtep {
  /** Index of the link. */
  readonly link: number
  /** How many things were not as they should be. */
  readonly repairs: number
}

/** The addresses of the host itself inside of the containers' network; without one it has none. */
export interface HostAddresses {
  readonly ipv4: string | undefined
  readonly ipv6: string | undefined
}

/**
 * Makes the VTEP as it should be, whatever is there.
 *
 * @param hostAddresses its only addresses
 * @param hasIpv6 whether it carries IPv6, with an address or without
 * @throws `KernelRefused`, also when a link of another kind has its name, or one of somebody else its identifier
 */
export async function ensureVtep(
  socket: RouteSocket,
  remover: LinkRemover,
  wanted: VxlanOptions,
  hostAddresses: HostAddresses,
  hasIpv6: boolean,
): Promise<EnsuredVtep> {
  let repairs = 0
  let link = await getLink(socket, wanted.name)
  if (link !== undefined && link.kind !== 'vxlan') {
    throw networkErrors.KernelRefused({
      object: `link ${wanted.name}`,
      message: `is not a VXLAN link but ${link.kind ?? 'a device'}`,
      mend: 'rename or remove it',
    })
  }
  const difference = link === undefined ? 'other' : compareVtep(link, wanted)
  if (difference !== 'same') repairs += 1
  if (difference === 'changeable') {
    await setLink(socket, wanted.name, { mac: wanted.mac, mtu: wanted.mtu, master: 0, up: true })
  }
  if (difference === 'other') {
    if (link !== undefined) await remover.remove(wanted.name)
    await makeRoom(socket, remover, wanted)
    await createVxlan(socket, wanted)
    link = await getLink(socket, wanted.name)
  }
  if (link === undefined) {
    throw networkErrors.KernelRefused({ object: `link ${wanted.name}`, message: 'vanished' })
  }
  repairs += await ensureAddress(socket, link.index, hostAddresses.ipv4)
  // A link-local IPv6 address would make it talk by itself.
  if (hasIpv6) {
    await enableQuietIpv6(wanted.name)
    const own = hostAddresses.ipv6
    const wanted6 = own === undefined ? undefined : { address: own, prefixLength: 128 }
    repairs += await keepOnlyIpv6Address(socket, link.index, wanted6)
  } else {
    await disableIpv6(wanted.name)
  }
  return { link: link.index, repairs }
}

/** Removes links of ours that have the identifier: the kernel allows only one of it. */
async function makeRoom(socket: RouteSocket, remover: LinkRemover, wanted: VxlanOptions): Promise<void> {
  for (const { name, vxlan } of await listLinks(socket)) {
    if (vxlan?.id !== wanted.id || vxlan.port !== wanted.port) continue
    if (name.startsWith(VTEP_PREFIX)) {
      await remover.remove(name)
      continue
    }
    throw networkErrors.KernelRefused({
      object: `link ${wanted.name}`,
      message: `link ${name} has its identifier ${wanted.id} and port ${wanted.port}`,
      mend: `remove ${name}, or move it to another identifier`,
    })
  }
}

async function ensureAddress(
  socket: RouteSocket,
  link: number,
  hostAddress: string | undefined,
): Promise<number> {
  let repairs = 0
  const present = await listAddresses(socket, link)
  for (const entry of present) {
    if (entry.address === hostAddress && entry.prefixLength === 32) continue
    await deleteAddress(socket, entry)
    repairs += 1
  }
  if (hostAddress === undefined || present.length > repairs) return repairs
  await addAddress(socket, { link, address: hostAddress, prefixLength: 32 })
  return repairs + 1
}

/** Removes every VTEP of ours; none is fine. */
export async function removeVteps(socket: RouteSocket, remover: LinkRemover): Promise<void> {
  const links = await listLinks(socket)
  const ours = links.filter(link => link.kind === 'vxlan' && link.name.startsWith(VTEP_PREFIX))
  await Promise.all(ours.map(link => remover.remove(link.name)))
}
