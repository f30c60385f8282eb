/** What hosts say about their subnet by labels (`io.rancher.network.per_host_subnet.*`, names of the 2017 system). */
import {
  formatIpv4,
  type Ipv4Block,
  ipv4BlockContains,
  ipv4BlockSize,
  parseIpv4,
  parseIpv4Block,
} from '../../kit/index.ts'
import type { Peer } from '../overlay/index.ts'

const PREFIX = 'io.rancher.network.per_host_subnet.'

export interface PerHostSubnet {
  /** CIDR block of the host's containers; absent where blocks are allocated. */
  readonly subnet: string | undefined
  /** First and last address that the host hands out; absent means the whole subnet. */
  readonly range: { readonly start: string; readonly end: string } | undefined
  /** By which others reach the subnet, when it is not the host's own address. */
  readonly nextHop: string | undefined
}

export type PerHostSubnetResult =
  | { readonly ok: true; readonly value: PerHostSubnet }
  /** `problem`: a clause that names label and value. */
  | { readonly ok: false; readonly problem: string }

function label(labels: Readonly<Record<string, string>>, name: string): string | undefined {
  const value = labels[PREFIX + name]?.trim()
  return value === '' ? undefined : value
}

/** Reads the labels of a host. */
export function perHostSubnet(labels: Readonly<Record<string, string>>): PerHostSubnetResult {
  const wrong = (name: string, expected: string): PerHostSubnetResult => ({
    ok: false,
    problem: `label ${PREFIX}${name} is ${JSON.stringify(label(labels, name)?.slice(0, 40) ?? '')}, not ${expected}`,
  })
  const subnet = label(labels, 'subnet')
  const block = subnet === undefined ? undefined : parseIpv4Block(subnet)
  if (subnet !== undefined && (block === undefined || block.prefixLength < 8 || block.prefixLength > 30)) {
    return wrong('subnet', 'an address block such as 172.20.5.0/24')
  }
  const nextHop = label(labels, 'override_agent_ip')
  if (nextHop !== undefined && parseIpv4(nextHop) === undefined)
    return wrong('override_agent_ip', 'an IPv4 address')
  const start = label(labels, 'range_start')
  const end = label(labels, 'range_end')
  if (block === undefined || subnet === undefined || (start === undefined && end === undefined)) {
    return { ok: true, value: { subnet, range: undefined, nextHop } }
  }
  const first = start === undefined ? block.base + 1 : parseIpv4(start)
  const last = end === undefined ? block.base + ipv4BlockSize(block) - 2 : parseIpv4(end)
  if (!isWithin(block, first)) return wrong('range_start', `an address of ${subnet}`)
  if (!isWithin(block, last) || last < first)
    return wrong('range_end', `an address of ${subnet} after range_start`)
  return { ok: true, value: { subnet, range: { start: formatIpv4(first), end: formatIpv4(last) }, nextHop } }
}

function isWithin(block: Ipv4Block, address: number | undefined): address is number {
  return address !== undefined && ipv4BlockContains(block, address)
}

/** A peer as routes see it: its subnet instead of its blocks where it has one, and where to send packets for it. */
export interface RoutedPeer {
  readonly peer: Peer
  readonly nextHop: string
  readonly problem: string | undefined
}

export function routedPeer(peer: Peer): RoutedPeer {
  const result = perHostSubnet(peer.labels)
  if (!result.ok) return { peer: { ...peer, blocks: [] }, nextHop: peer.address, problem: result.problem }
  const { subnet, nextHop } = result.value
  return {
    peer: subnet === undefined ? peer : { ...peer, blocks: [subnet] },
    nextHop: nextHop ?? peer.address,
    problem: undefined,
  }
}
