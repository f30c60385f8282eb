/** Which peers, and which of their blocks, an overlay can serve: one that is wrong must not harm the others. */
import { type Ipv4Block, ipv4BlockContains, parseIpv4, parseIpv4Block } from '../../kit/index.ts'
import type { OverlayState, Peer, PeerState } from './overlay.ts'

export interface PeerSelection {
  /** In the order given, with the blocks that can be served. */
  readonly usable: readonly Peer[]
  /** Host id → what is wrong with it. A peer may be usable in part. */
  readonly problems: ReadonlyMap<string, string>
}

/** Blocks that are taken, and whether another one overlaps any of them: asked in constant time. */
class TakenBlocks {
  readonly #blocks = new Set<number>()
  /** Blocks of every size there is that hold a taken one. */
  readonly #around = new Set<number>()
  readonly #prefixLengths: readonly number[]

  /** @param prefixLengths all that occur: seldom more than two */
  constructor(prefixLengths: Iterable<number>) {
    this.#prefixLengths = [...new Set(prefixLengths)]
  }

  take({ base, prefixLength }: Ipv4Block): void {
    this.#blocks.add(keyOf(base, prefixLength))
    for (const length of this.#prefixLengths) {
      if (length <= prefixLength) this.#around.add(keyOf(base, length))
    }
  }

  overlaps({ base, prefixLength }: Ipv4Block): boolean {
    if (this.#around.has(keyOf(base, prefixLength))) return true
    return this.#prefixLengths.some(length => length < prefixLength && this.#blocks.has(keyOf(base, length)))
  }
}

/** The block of that size around an address, as one number. */
function keyOf(address: number, prefixLength: number): number {
  const size = 2 ** (32 - prefixLength)
  return (address - (address % size)) * 64 + prefixLength
}

/** @param withinCluster whether containers' addresses are in the cluster's block, so that others must be mistaken */
export function selectPeers(state: OverlayState, withinCluster: boolean): PeerSelection {
  const cluster = withinCluster ? parseIpv4Block(state.clusterBlock) : undefined
  const parsed = new Map<string, Ipv4Block | undefined>()
  for (const { blocks } of [state, ...state.peers]) {
    for (const text of blocks) parsed.set(text, parseIpv4Block(text))
  }
  const taken = new TakenBlocks(
    parsed.values().flatMap(block => (block === undefined ? [] : [block.prefixLength])),
  )
  for (const text of state.blocks) {
    const block = parsed.get(text)
    if (block !== undefined) taken.take(block)
  }
  const addresses = new Set([state.address])
  const problems = new Map<string, string>()
  const usable = state.peers.flatMap(peer => {
    const { hostId, address } = peer
    const problem = addressProblem(address, addresses)
    if (problem !== undefined) {
      problems.set(hostId, problem)
      return []
    }
    addresses.add(address)
    const blocks = peer.blocks.filter(text => {
      const reason = blockProblem(text, parsed.get(text), cluster, taken)
      if (reason !== undefined) problems.set(hostId, reason)
      return reason === undefined
    })
    return [blocks.length === peer.blocks.length ? peer : { ...peer, blocks }]
  })
  return { usable, problems }
}

function addressProblem(address: string, taken: ReadonlySet<string>): string | undefined {
  if (parseIpv4(address) === undefined)
    return `${JSON.stringify(address.slice(0, 40))} is not an IPv4 address`
  return taken.has(address) ? `another host has the address ${address}` : undefined
}

function blockProblem(
  text: string,
  block: Ipv4Block | undefined,
  cluster: Ipv4Block | undefined,
  taken: TakenBlocks,
): string | undefined {
  if (block === undefined) return `${JSON.stringify(text.slice(0, 40))} is not an address block`
  if (
    cluster !== undefined &&
    (block.prefixLength < cluster.prefixLength || !ipv4BlockContains(cluster, block.base))
  )
    return `block ${text} is outside of the cluster's`
  if (taken.overlaps(block)) return `block ${text} is another host's`
  taken.take(block)
  return undefined
}

/**
 * How the ways to all peers are, for overlays that only configure the kernel.
 *
 * @param problems host id → why it is not served, or not wholly
 */
export function statesOfPeers(
  peers: readonly Peer[],
  problems: ReadonlyMap<string, string>,
): readonly PeerState[] {
  return peers.map(({ hostId, name, address }) => {
    const reason = problems.get(hostId)
    return reason === undefined
      ? { hostId, name, address, state: 'up' }
      : { hostId, name, address, state: 'down', reason }
  })
}
