/** Attributes of netlink messages of netfilter: the package's own encoder drops the flags of the type. */

/** linux/netlink.h */
const NLA_F_NESTED = 0x8000

/** An attribute, padded. */
export function attribute(type: number, value: Uint8Array): Buffer {
  const size = 4 + value.length
  const bytes = Buffer.alloc((size + 3) & ~3)
  bytes.writeUInt16LE(size, 0)
  bytes.writeUInt16LE(type, 2)
  bytes.set(value, 4)
  return bytes
}

/** An attribute that holds others. */
export function nestedAttribute(type: number, ...attributes: readonly Buffer[]): Buffer {
  return attribute(type | NLA_F_NESTED, Buffer.concat(attributes))
}
