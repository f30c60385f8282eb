/**
 * Addresses outside of all clusters that somebody's object names by URL: looked up once, and connected to as they were
 * found, so that a name server cannot say one thing to who asks and another to who connects. What only this machine and
 * its networks reach stays out of reach.
 */
import type { LookupAddress } from 'node:dns'
import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { atMost } from '../../../../kit/index.ts'
import { SERVICE_BLOCK } from '../../../../protocol/index.ts'
import { StatusError } from '../status.ts'

/** Milliseconds. */
const LOOKUP_DEADLINE = 5_000
/** Of hosts' containers. */
const CONTAINER_BLOCK = '10.42.0.0/16'

/** RFC 6890: this host, loopback, link-local, multicast, reserved; and the networks of our own containers. */
const REFUSED_BLOCKS = [
  ...['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '240.0.0.0/4'],
  ...[CONTAINER_BLOCK, SERVICE_BLOCK],
  ...['::/128', '::1/128', 'fe80::/10', 'ff00::/8'],
]

/** Which write IPv4 addresses as IPv6: what they lead to cannot be told from their form. */
const TRANSLATED_BLOCKS = ['::ffff:0:0/96', '64:ff9b::/96', '64:ff9b:1::/48', '2002::/16']

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4'
}

function listOf(blocks: readonly string[], family: 'ipv4' | 'ipv6'): BlockList {
  const list = new BlockList()
  for (const block of blocks) {
    const [address = '', length = ''] = block.split('/')
    if (familyOf(address) === family) list.addSubnet(address, Number(length), family)
  }
  return list
}

/** A list of both would take every IPv4 address for one of those that IPv6 writes. */
const REFUSED = {
  ipv4: listOf(REFUSED_BLOCKS, 'ipv4'),
  ipv6: listOf([...REFUSED_BLOCKS, ...TRANSLATED_BLOCKS], 'ipv6'),
}

/** Whether nobody's object may lead the server there. */
export function isRefusedAddress(address: string): boolean {
  const family = familyOf(address)
  if (REFUSED[family].check(address, family)) return true
  return Object.values(networkInterfaces()).some(list => list?.some(own => own.address === address))
}

/** Says where a host name leads; the first address that may be connected to. */
export type FindOutside = (hostname: string) => Promise<LookupAddress>

/** Asks the name servers. */
export type Lookup = (host: string) => Promise<LookupAddress[]>

/**
 * Finds addresses by one look-up each.
 *
 * @returns throws `ServiceUnavailable` when the name is unknown, or leads nowhere that may be connected to
 */
export function outsideFinder(lookUp: Lookup): FindOutside {
  return async hostname => {
    // URLs bear IPv6 addresses in brackets.
    const host = hostname.replace(/^\[(.*)\]$/, '$1')
    let found: LookupAddress[]
    try {
      found =
        isIP(host) === 0
          ? await atMost(LOOKUP_DEADLINE, `host ${host}`, lookUp(host))
          : [{ address: host, family: isIP(host) }]
    } catch (error) {
      throw new StatusError('ServiceUnavailable', `dial tcp: lookup ${host}: no such host`, undefined, error)
    }
    const allowed = found.find(({ address }) => !isRefusedAddress(address))
    if (allowed !== undefined) return allowed
    throw new StatusError(
      'ServiceUnavailable',
      `dial tcp: ${host} leads to an address of this server, which clusters do not reach`,
    )
  }
}

export const findOutside: FindOutside = outsideFinder(host => lookup(host, { all: true }))
