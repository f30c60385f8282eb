/** Blocks of addresses without some of their parts, as blocks again. */
import { formatIpv4Block, type Ipv4Block, ipv4BlockContains, parseIpv4 } from '../../kit/index.ts'

function halves({ base, prefixLength }: Ipv4Block): [Ipv4Block, Ipv4Block] {
  const longer = prefixLength + 1
  return [
    { base, prefixLength: longer },
    { base: base + 2 ** (32 - longer), prefixLength: longer },
  ]
}

function within(inner: Ipv4Block, outer: Ipv4Block): boolean {
  return inner.prefixLength >= outer.prefixLength && ipv4BlockContains(outer, inner.base)
}

function subtract(block: Ipv4Block, except: Ipv4Block): Ipv4Block[] {
  if (within(block, except)) return []
  if (!within(except, block)) return [block]
  return halves(block).flatMap(half => subtract(half, except))
}

/** Reads `10.0.0.0/8`, with host bits set too, as Kubernetes takes it; undefined for other things, IPv6 among them. */
function readBlock(text: string): Ipv4Block | undefined {
  const [address = '', prefix = ''] = text.split('/')
  const value = parseIpv4(address)
  if (value === undefined || !/^\d{1,2}$/.test(prefix) || Number(prefix) > 32) return undefined
  const size = 2 ** (32 - Number(prefix))
  return { base: value - (value % size), prefixLength: Number(prefix) }
}

/**
 * What is left of a block; nothing of one that is not of IPv4.
 *
 * @returns blocks in CIDR notation, never all addresses as one: sets in the kernel cannot hold that
 */
export function blocksWithout(cidr: string, except: readonly string[] = []): string[] {
  const whole = readBlock(cidr)
  if (whole === undefined) return []
  let blocks = whole.prefixLength === 0 ? halves(whole) : [whole]
  for (const text of except) {
    const part = readBlock(text)
    if (part !== undefined) blocks = blocks.flatMap(block => subtract(block, part))
  }
  return blocks.map(formatIpv4Block)
}
