/**
 * What every kind of policy is compiled to: stages that a packet passes one after the other, each with rules of which
 * the first match counts, over sets of addresses whose members change without the rules.
 */
import type { IpFamily } from '../netlink/index.ts'

/** Addresses, or networks in CIDR notation. */
export interface PolicySet {
  /** What it stands for: `stack 1234`. The same key means the same set, whoever is in it. */
  readonly key: string
  /** `net` when members are networks. */
  readonly type: 'ip' | 'net'
  /** Those of IPv4, unless it is of IPv6. */
  readonly members: ReadonlySet<string>
  /** Networks of IPv6, of a set of networks from which one of IPv6 is derived. */
  readonly blocks6?: ReadonlySet<string>
  /** IPv4 when absent. */
  readonly family?: IpFamily
}

export interface PolicyPorts {
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  /** Both absent: every port of the protocol. */
  readonly first?: number
  readonly last?: number
}

export interface PolicyRule {
  readonly action: 'allow' | 'deny'
  /** Key of the set of sources; absent: everybody. */
  readonly from?: string
  readonly to?: string
  /** One of these; absent: every protocol and port. */
  readonly ports?: readonly PolicyPorts[]
}

/** Which packets a stage is for, by what it says about them first. */
export interface PolicyStage {
  readonly name: 'network' | 'ingress' | 'egress'
  /** Key of the set in which the packet's destination, or source, must be. */
  readonly guard: { readonly set: string; readonly side: 'src' | 'dst' }
  readonly rules: readonly PolicyRule[]
  /** For what no rule matches. */
  readonly otherwise: 'allow' | 'deny'
}

export interface CompiledPolicy {
  readonly stages: readonly PolicyStage[]
  readonly sets: readonly PolicySet[]
}

export const NO_POLICY: CompiledPolicy = { stages: [], sets: [] }

/** Collects the sets of a policy; one per key. */
export class PolicySets {
  readonly #sets = new Map<string, PolicySet>()

  /**
   * @param members a set that nobody changes any more is taken as it is: the same object again means the same members
   * @returns the key, to name the set in rules
   */
  add(key: string, members: readonly string[] | ReadonlySet<string>): string {
    if (!this.#sets.has(key)) {
      this.#sets.set(key, { key, type: 'ip', members: members instanceof Set ? members : new Set(members) })
    }
    return key
  }

  /** @param blocks of both families. @returns the key */
  addBlocks(key: string, blocks: readonly string[]): string {
    const [members, blocks6] = [false, true].map(
      sixth => new Set(blocks.filter(block => block.includes(':') === sixth)),
    ) as [Set<string>, Set<string>]
    if (!this.#sets.has(key)) this.#sets.set(key, { key, type: 'net', members, blocks6 })
    return key
  }

  list(): PolicySet[] {
    return [...this.#sets.values()]
  }
}
