/** The address of a host itself inside of the containers' network. */
import {
  formatIpv4,
  type Ipv4Block,
  ipv4BlockContains,
  ipv4BlockSize,
  parseIpv4Block,
} from '../../kit/index.ts'

/**
 * Where packets of the host itself to containers of other hosts come from. The bridge's address is the same on every host,
 * so the answers could not find back; this one is in a block that is the host's alone. It is the first address of the
 * host's first block that can be one: the address pool must not hand it out.
 *
 * @param blocks in the order in which the host got them
 * @returns undefined when the host has no block yet
 */
export function hostAddressOf(clusterBlock: string, blocks: readonly string[]): string | undefined {
  const cluster = parseIpv4Block(clusterBlock)
  const block = blocks[0] === undefined ? undefined : parseIpv4Block(blocks[0])
  if (cluster === undefined || block === undefined) return undefined
  const address = firstUsable(cluster, block)
  return ipv4BlockContains(block, address) ? formatIpv4(address) : undefined
}

/** The first two addresses of the cluster are its own and the gateway's, the last one is for broadcasts. */
function firstUsable(cluster: Ipv4Block, block: Ipv4Block): number {
  if (block.base === cluster.base) return cluster.base + 2
  const broadcast = cluster.base + ipv4BlockSize(cluster) - 1
  return block.base === cluster.base + 1 || block.base === broadcast ? block.base + 1 : block.base
}
