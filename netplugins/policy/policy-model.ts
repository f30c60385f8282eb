/**
 * What every kind of policy is compiled to: stages that a packet passes one after the other, each with rules of which
 * the first match counts, over sets of addresses whose members change without the rules.
 */

/** Addresses and networks of IPv4, in CIDR notation or dotted-decimal. */
export interface PolicySet {
  /** What it stands for: `stack 1234`. The same key means the same set, whoever is in it. */
  readonly key: string
  /** `net` when members are networks. */
  readonly type: 'ip' | 'net'
  readonly members: ReadonlySet<string>
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
  add(key: string, members: readonly string[] | ReadonlySet<string>, type: PolicySet['type'] = 'ip'): string {
    if (!this.#sets.has(key)) {
      this.#sets.set(key, { key, type, members: members instanceof Set ? members : new Set(members) })
    }
    return key
  }

  list(): PolicySet[] {
    return [...this.#sets.values()]
  }
}
