/** How charon is to connect this host with another: pure, from what is wanted. */

import { blockWithIpv6Prefix, parseIpv4 } from '../../kit/index.ts'
import type { OverlayState, Peer } from '../overlay/index.ts'
import { authenticationSections, type Credentials, credentialName, fingerprint } from './credentials.ts'
import type { ViciSection } from './vici/index.ts'

/** Who encrypts: the kernel (ESP in its xfrm framework), or charon itself behind a TUN device (kernel-libipsec). */
export type Backend = 'kernel' | 'userspace'

/** Times, for tests and for networks that need others. */
export interface IpsecTimings {
  /** Seconds of silence after which a peer is asked whether it is there. */
  readonly deadPeerDelay: number
  /** Milliseconds until the first repetition of an unanswered message; later ones come after longer pauses. */
  readonly retransmitDelay: number
  readonly retransmissions: number
  /** Seconds for which the keys of IKE and of ESP are used. */
  readonly ikeLifetime: number
  readonly espLifetime: number
}

export const DEFAULT_TIMINGS: IpsecTimings = {
  deadPeerDelay: 10,
  retransmitDelay: 2_000,
  retransmissions: 4,
  ikeLifetime: 4 * 3600,
  espLifetime: 3600,
}

/** AES-GCM first: it is what processors have instructions for; no MODP groups, which cost many times as much. */
export const IKE_PROPOSALS = [
  'aes128gcm16-prfsha256-curve25519',
  'aes128gcm16-prfsha256-ecp256',
  'aes128-sha256-curve25519',
  'aes128-sha256-ecp256',
]

export const ESP_PROPOSALS = [
  'aes128gcm16-curve25519',
  'aes128gcm16',
  'aes128-sha256-curve25519',
  'aes128-sha256',
]

/** Ids that the 2017 system gave its policies, which people look for in `ip xfrm policy`. */
const REQUEST_ID = 1234
const POLICY_PRIORITY = 10_000

/** By which the policies belong to our xfrm interface. */
export const INTERFACE_ID = 1234

/** Packets that may arrive out of order; the kernel's default of 32 is too few for fast links. */
const REPLAY_WINDOW = 1024

/** The side that does not have to begin replaces keys so much later: only when the other one did not. */
const PATIENCE_FACTOR = 1.5

/** Part of the lifetime by which keys are replaced earlier, at random: not those of all peers at once. */
const SPREAD = 0.1

/** Names of connections begin with it. */
const NAME_PREFIX = 'drover'

/** What one peer should be connected by. */
export interface DesiredConnection {
  readonly hostId: string
  /** Says who, with which credential, and how: a security association of another name is not what is wanted. */
  readonly name: string
  readonly peerAddress: string
  readonly localBlocks: readonly string[]
  readonly remoteBlocks: readonly string[]
  /** Whether it is this host that begins; the other one waits a while before it does. */
  readonly begins: boolean
  /** Of `load-conn`. */
  readonly section: ViciSection
}

/** What a name says. */
export interface ConnectionName {
  readonly hostId: string
  readonly credential: string
}

/** Reads a connection's name; undefined for one that is not ours. */
export function parseConnectionName(name: string): ConnectionName | undefined {
  const match = /^drover-(.+)-([0-9a-f]{8})-[0-9a-f]{8}$/s.exec(name)
  const [, hostId, credential] = match ?? []
  return hostId === undefined || credential === undefined ? undefined : { hostId, credential }
}

export interface ConnectionInput {
  readonly state: OverlayState
  readonly peer: Peer
  readonly credentials: Credentials
  readonly backend: Backend
  readonly timings: IpsecTimings
  /** Whether `state.address` is on a link of this host; behind address translation it is not. */
  readonly hasAddress: boolean
}

/** Of two hosts the one with the numerically lower address begins. */
export function beginsWith(own: string, peer: string): boolean {
  return (parseIpv4(own) ?? 0) < (parseIpv4(peer) ?? 0)
}

/** The connection to one peer, with as many policies as pairs of blocks. */
export function desiredConnection(input: ConnectionInput): DesiredConnection {
  const { state, peer, credentials, hasAddress } = input
  const localBlocks = carriedBlocks(state, state.blocks)
  const remoteBlocks = carriedBlocks(state, peer.blocks)
  const begins = beginsWith(state.address, peer.address)
  const child = childSection(input, localBlocks, remoteBlocks, begins)
  const { local, remote } = authenticationSections(credentials, state.address, peer)
  const section: ViciSection = {
    version: '2',
    ...(hasAddress ? { local_addrs: [state.address] } : {}),
    // Behind address translation a peer comes from another address than it is reached by; who it is, it proves.
    remote_addrs: [peer.address, '0.0.0.0/0'],
    proposals: IKE_PROPOSALS,
    // UDP passes where ESP does not.
    encap: 'yes',
    // Charon would move to addresses of bridges, which are the same on every host.
    mobike: 'no',
    dpd_delay: `${input.timings.deadPeerDelay}s`,
    keyingtries: '1',
    unique: 'no',
    ...lifetime(input.timings.ikeLifetime, begins, 'over_time'),
    local,
    remote,
    children: { containers: child },
  }
  const name = [
    NAME_PREFIX,
    peer.hostId,
    credentialName(credentials),
    fingerprint(JSON.stringify({ ...section, local: state.address, remote: peer.address })),
  ].join('-')
  return {
    hostId: peer.hostId,
    name,
    peerAddress: peer.address,
    localBlocks,
    remoteBlocks,
    begins,
    section: { [name]: section },
  }
}

/** The name by which the connection's one child is known to charon. */
export const CHILD_NAME = 'containers'

/** Blocks of containers' IPv4 addresses, and behind them those of IPv6 addresses. One child carries both (RFC 7296, 2.9). */
function carriedBlocks({ ipv6Prefix }: OverlayState, blocks: readonly string[]): readonly string[] {
  if (ipv6Prefix === undefined) return blocks
  return [...blocks, ...blocks.map(block => blockWithIpv6Prefix(ipv6Prefix, block))]
}

function childSection(
  { backend, timings }: ConnectionInput,
  localBlocks: readonly string[],
  remoteBlocks: readonly string[],
  begins: boolean,
): ViciSection {
  return {
    mode: 'tunnel',
    local_ts: localBlocks,
    remote_ts: remoteBlocks,
    esp_proposals: ESP_PROPOSALS,
    replay_window: String(REPLAY_WINDOW),
    start_action: 'none',
    close_action: 'none',
    dpd_action: 'restart',
    ...lifetime(timings.espLifetime, begins, 'life_time'),
    ...(backend === 'kernel'
      ? {
          reqid: String(REQUEST_ID),
          priority: String(POLICY_PRIORITY),
          if_id_in: String(INTERFACE_ID),
          if_id_out: String(INTERFACE_ID),
        }
      : {}),
  }
}

/**
 * When keys are replaced, and when they end although they were not. The spread is given, because charon's own is as long as
 * the time between the two.
 */
function lifetime(seconds: number, begins: boolean, end: 'over_time' | 'life_time'): ViciSection {
  const rekey = Math.round(begins ? seconds : seconds * PATIENCE_FACTOR)
  const limit = end === 'over_time' ? seconds : seconds * (PATIENCE_FACTOR + 1)
  return {
    rekey_time: `${rekey}s`,
    rand_time: `${Math.round(seconds * SPREAD)}s`,
    [end]: `${Math.round(limit)}s`,
  }
}
