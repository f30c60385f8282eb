/** Blocks of addresses of either family without some of their parts, as blocks again. */
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from '../../kit/index.ts'

interface Block {
  readonly base: bigint
  readonly prefixLength: number
  /** Of an address of its family. */
  readonly bits: 32 | 128
}

function sizeOf({ prefixLength, bits }: Pick<Block, 'prefixLength' | 'bits'>): bigint {
  return 1n << BigInt(bits - prefixLength)
}

function halves({ base, prefixLength, bits }: Block): [Block, Block] {
  const half = { bits, prefixLength: prefixLength + 1 }
  return [
    { ...half, base },
    { ...half, base: base + sizeOf(half) },
  ]
}

function within(inner: Block, outer: Block): boolean {
  if (inner.bits !== outer.bits || inner.prefixLength < outer.prefixLength) return false
  return inner.base - (inner.base % sizeOf(outer)) === outer.base
}

function subtract(block: Block, except: Block): Block[] {
  if (within(block, except)) return []
  if (!within(except, block)) return [block]
  return halves(block).flatMap(half => subtract(half, except))
}

function readAddress(text: string): Pick<Block, 'base' | 'bits'> | undefined {
  const value = parseIpv4(text)
  if (value !== undefined) return { base: BigInt(value), bits: 32 }
  const bytes = parseIpv6(text)
  return bytes && { base: BigInt(`0x${bytes.toString('hex')}`), bits: 128 }
}

/** Reads `10.0.0.0/8` or `fd00::/8`, with host bits set too, as Kubernetes takes it; undefined for other things. */
function readBlock(text: string): Block | undefined {
  const [address = '', prefix = ''] = text.split('/')
  const read = readAddress(address)
  if (read === undefined || !/^\d{1,3}$/.test(prefix) || Number(prefix) > read.bits) return undefined
  const block = { ...read, prefixLength: Number(prefix) }
  return { ...block, base: block.base - (block.base % sizeOf(block)) }
}

function formatBlock({ base, prefixLength, bits }: Block): string {
  const address =
    bits === 32
      ? formatIpv4(Number(base))
      : formatIpv6(Buffer.from(base.toString(16).padStart(32, '0'), 'hex'))
  return `${address}/${prefixLength}`
}

/**
 * What is left of a block; nothing of one that is none. Parts of the other family are no parts of it.
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
  return blocks.map(formatBlock)
}
