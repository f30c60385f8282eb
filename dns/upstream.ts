/** Name servers of others: which may be asked, and which is asked first. */
import { isIPv4, isIPv6 } from 'node:net'
import { ipv4BlockContains, parseIpv4, parseIpv4Block } from '../kit/index.ts'
import { METADATA_ADDRESS } from '../protocol/index.ts'

export interface Upstream {
  readonly address: string
  readonly port: number
}

const DNS_PORT = 53
const LOOPBACK = { base: 0x7f000000, prefixLength: 8 }
const UNSPECIFIED = parseIpv4Block('0.0.0.0/8') ?? { base: 0, prefixLength: 8 }

/** Whether asking there could come back to us: our own address, and whatever listens on a loopback. */
export function isForbidden(address: string): boolean {
  const value = parseIpv4(address)
  if (value !== undefined) {
    const own = address === METADATA_ADDRESS
    return own || ipv4BlockContains(LOOPBACK, value) || ipv4BlockContains(UNSPECIFIED, value)
  }
  // Addresses of version 4 in version 6 could name any of them once more.
  return !isIPv6(address) || /^[0:]*1?$/.test(address) || /^[0:]*:ffff:/i.test(address)
}

/** The name servers of a resolv.conf (resolv.conf(5)) that may be asked. */
export function upstreamsOf(resolvConf: string): Upstream[] {
  const addresses = resolvConf
    .split('\n')
    .map(line => /^\s*nameserver\s+(\S+)/.exec(line)?.[1])
    .filter(address => address !== undefined)
  return [...new Set(addresses)]
    .filter(address => (isIPv4(address) || isIPv6(address)) && !isForbidden(address))
    .map(address => ({ address, port: DNS_PORT }))
}

/** What is expected of one that was never asked, in milliseconds. */
const FIRST_GUESS = 50
/** Weight of the newest answer. */
const NEWEST = 0.2
/** A failure counts as an answer that took so much longer, in milliseconds. */
const FAILURE_COST = 2_000
/** How much of its bad reputation one loses whenever another one is asked: it deserves another chance. */
const FORGIVENESS = 0.98

/** One upstream and how it did so far. */
export interface ScoredUpstream extends Upstream {
  /** Milliseconds that an answer is expected to take; failures count as slow ones. */
  expected: number
}

export class UpstreamRanking {
  readonly #upstreams: readonly ScoredUpstream[]

  /** Those that may not be asked are left out. */
  constructor(upstreams: readonly Upstream[]) {
    this.#upstreams = upstreams
      .filter(({ address }) => !isForbidden(address))
      .map(({ address, port }) => ({ address, port, expected: FIRST_GUESS }))
  }

  /** All of them, the best first. */
  ranked(): readonly ScoredUpstream[] {
    const ranked = this.#upstreams.toSorted((a, b) => a.expected - b.expected)
    for (const other of ranked.slice(1)) other.expected *= FORGIVENESS
    return ranked
  }

  answered(upstream: ScoredUpstream, milliseconds: number): void {
    upstream.expected = upstream.expected * (1 - NEWEST) + milliseconds * NEWEST
  }

  failed(upstream: ScoredUpstream): void {
    upstream.expected = upstream.expected * (1 - NEWEST) + FAILURE_COST * NEWEST
  }
}
