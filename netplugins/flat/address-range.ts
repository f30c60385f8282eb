/** The range of addresses that containers may have on the hosts' network. */
import { type Ipv4Block, ipv4BlockContains, kitErrors, parseIpv4, requireIpv4Block } from '../../kit/index.ts'

/**
 * The fewest blocks that together are a range of addresses, in order: what the address pool takes.
 *
 * @throws `InvalidFormat` for addresses that are none, not of the subnet, or in the wrong order
 */
export function blocksOfRange(subnet: string, start: string, end: string): Ipv4Block[] {
  const block = requireIpv4Block(subnet, 'subnet')
  const first = requireWithin(block, subnet, start, 'rangeStart')
  const last = requireWithin(block, subnet, end, 'rangeEnd')
  if (last < first) {
    throw kitErrors.InvalidFormat({
      object: `range ${start} to ${end}`,
      message: 'ends before it starts',
      field: 'rangeEnd',
    })
  }
  const blocks: Ipv4Block[] = []
  let base = first
  while (base <= last) {
    let prefixLength = 32
    while (prefixLength > block.prefixLength && isBlockWithin(base, prefixLength - 1, last)) prefixLength -= 1
    blocks.push({ base, prefixLength })
    base += 2 ** (32 - prefixLength)
  }
  return blocks
}

function isBlockWithin(base: number, prefixLength: number, last: number): boolean {
  const size = 2 ** (32 - prefixLength)
  return base % size === 0 && base + size - 1 <= last
}

function requireWithin(block: Ipv4Block, subnet: string, text: string, field: string): number {
  const address = parseIpv4(text)
  if (address !== undefined && ipv4BlockContains(block, address)) return address
  throw kitErrors.InvalidFormat({
    object: `address ${text}`,
    message: 'is not an address of the subnet',
    expected: `an address of ${subnet}`,
    field,
  })
}
