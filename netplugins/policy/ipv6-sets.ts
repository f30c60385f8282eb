/**
 * The sets of a compiled policy for IPv6: whoever has an IPv4 address of the cluster has the IPv6 address that the network's
 * prefix makes of it, and blocks are of the family that they are written in.
 */
import { type Ipv6Prefix, parseIpv4, withIpv6Prefix } from '../../kit/index.ts'
import type { PolicySet } from './policy-model.ts'

type Members = PolicySet['members']

const NONE: Members = new Set()

/** Derives sets with one prefix, and gives the same members for the same members. */
export class Ipv6Sets {
  readonly prefix: Ipv6Prefix
  readonly #derived = new WeakMap<Members, Members>()

  constructor(prefix: Ipv6Prefix) {
    this.prefix = prefix
  }

  of(sets: readonly PolicySet[]): PolicySet[] {
    return sets.map(({ key, type, members, blocks6 = NONE }) => ({
      ...{ key, type, family: 6 },
      members: type === 'net' ? blocks6 : this.#addresses(members),
    }))
  }

  #addresses(members: Members): Members {
    const present = this.#derived.get(members)
    if (present !== undefined) return present
    const derived = new Set(
      [...members]
        .filter(address => parseIpv4(address) !== undefined)
        .map(address => withIpv6Prefix(this.prefix, address)),
    )
    this.#derived.set(members, derived)
    return derived
  }
}
