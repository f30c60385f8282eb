/**
 * Network policies where containers have IPv6 addresses: the same stages, over sets that follow from those of IPv4.
 *
 * Fails closed: while the sets cannot be made, nobody whom a policy isolates is reached by IPv6.
 */
import { blockWithIpv6Prefix, explainError, type Ipv6Prefix, type Logger } from '../../kit/index.ts'
import { networkErrors } from '../../netplugins/index.ts'
import type { ChainRules } from '../../netplugins/iptables/index.ts'
import {
  type CompiledPolicy,
  closedChains,
  Ipv6Sets,
  type KernelSets,
  type PolicySet,
  policyChains,
} from '../../netplugins/policy/index.ts'

export interface PolicyIpv6Options {
  /** Of containers' addresses; undefined where they have none of IPv6. */
  readonly prefix: () => Ipv6Prefix | undefined
  /** Shared with IPv4. */
  readonly sets: KernelSets
  readonly log: Logger
}

export class PolicyIpv6 {
  readonly #options: PolicyIpv6Options
  #derived: Ipv6Sets | undefined
  /** The prefix for which the sets of the policy that counts exist; undefined when they may not. */
  #made: string | undefined

  constructor(options: PolicyIpv6Options) {
    this.#options = options
  }

  /** The sets of a policy; none without a prefix. */
  sets(policy: CompiledPolicy): PolicySet[] {
    const prefix = this.#options.prefix()
    if (prefix === undefined) return []
    if (this.#derived?.prefix.text !== prefix.text) this.#derived = new Ipv6Sets(prefix)
    return this.#derived.of(policy.sets)
  }

  /**
   * Makes the sets of a policy. From now on its rules refer to them, or close what they would have opened.
   *
   * @returns what prevented it
   */
  async make(policy: CompiledPolicy): Promise<Error | undefined> {
    const sets = this.sets(policy)
    const prefix = this.#options.prefix()?.text
    if (prefix === undefined) {
      // What there may be of them is removed, and missing when there is a prefix again.
      this.#made = undefined
      return undefined
    }
    try {
      await this.#options.sets.apply(sets)
      this.#made = prefix
      return undefined
    } catch (cause) {
      this.#made = undefined
      this.#options.log.warn({ reason: explainError(cause) }, 'closed IPv6 for isolated containers')
      return networkErrors.PolicyUnenforced({
        object: 'network policies for IPv6',
        message: `are not enforced, so whom they isolate is not reached by it at all: ${explainError(cause)}`,
        mend: 'install ipset, load the kernel module ip_set_hash_net, or take ipv6Prefix from the network',
        cause,
      })
    }
  }

  /**
   * Our chains for ip6tables; none without a prefix.
   *
   * @param containers blocks of containers' IPv4 addresses
   */
  chains(policy: CompiledPolicy, containers: readonly string[]): ReadonlyMap<string, ChainRules> {
    const prefix = this.#options.prefix()
    if (prefix === undefined) return new Map()
    const blocks = containers.map(block => blockWithIpv6Prefix(prefix, block))
    return this.#made === prefix.text ? policyChains(policy, blocks, 6) : closedChains(policy, blocks, prefix)
  }
}
