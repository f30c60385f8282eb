/**
 * Keeps the host's network policies: compiles what is wanted, makes sets before rules that refer to them, and removes
 * them after those.
 *
 * What was compiled is kept on disk, because a process that starts does not know yet what is wanted, and must not open
 * what was closed.
 */
import path from 'node:path'
import {
  explainError,
  isDroverError,
  type Logger,
  readJsonFile,
  type Static,
  Type,
  validatorOf,
  writeFileDurably,
} from '../../kit/index.ts'
import { setBridgedFiltering } from '../../netplugins/bridge/index.ts'
import { networkErrors } from '../../netplugins/index.ts'
import type { ChainRules } from '../../netplugins/iptables/index.ts'
import {
  type CompiledPolicy,
  compilePolicy,
  KernelSets,
  NO_POLICY,
  type PolicyInput,
  policyChains,
} from '../../netplugins/policy/index.ts'

const portsSchema = Type.Object({
  protocol: Type.Union([Type.Literal('tcp'), Type.Literal('udp'), Type.Literal('sctp')]),
  first: Type.Optional(Type.Integer()),
  last: Type.Optional(Type.Integer()),
})

const action = Type.Union([Type.Literal('allow'), Type.Literal('deny')])

const storedPolicySchema = Type.Object({
  stages: Type.Array(
    Type.Object({
      name: Type.Union([Type.Literal('network'), Type.Literal('ingress'), Type.Literal('egress')]),
      guard: Type.Object({
        set: Type.String(),
        side: Type.Union([Type.Literal('src'), Type.Literal('dst')]),
      }),
      rules: Type.Array(
        Type.Object({
          action,
          from: Type.Optional(Type.String()),
          to: Type.Optional(Type.String()),
          ports: Type.Optional(Type.Array(portsSchema)),
        }),
      ),
      otherwise: action,
    }),
  ),
  sets: Type.Array(
    Type.Object({
      key: Type.String(),
      type: Type.Union([Type.Literal('ip'), Type.Literal('net')]),
      members: Type.Array(Type.String()),
    }),
  ),
})

const storedPolicy = validatorOf(storedPolicySchema)

export interface PolicyKeeperOptions {
  /** Where the compiled policy is kept. */
  readonly directory: string
  /** The bridge that containers are connected to; undefined where they are on none. */
  readonly bridgeName: () => string | undefined
  /** Blocks in which the addresses of all containers are; undefined until somebody said what the network is. */
  readonly containerBlocks: () => readonly string[] | undefined
  /** Addresses of this host's containers. */
  readonly local: () => Iterable<string>
  /** Brings the firewall in line with `chains`. */
  readonly syncFirewall: () => Promise<void>
  readonly log: Logger
}

export class PolicyKeeper {
  readonly #options: PolicyKeeperOptions
  readonly #file: string
  readonly #sets: KernelSets
  /** What is wanted; undefined until somebody said it. */
  #input: PolicyInput | undefined
  /** What counts: its sets exist, as far as is known. */
  #applied: CompiledPolicy = NO_POLICY
  #stored: string | undefined

  private constructor(options: PolicyKeeperOptions) {
    this.#options = options
    this.#file = path.join(options.directory, 'policy.json')
    this.#sets = new KernelSets(options.log)
  }

  /** Reads what counted when this host's agent was last there. */
  static async open(options: PolicyKeeperOptions): Promise<PolicyKeeper> {
    const keeper = new PolicyKeeper(options)
    try {
      const stored = await readJsonFile(keeper.#file, storedPolicy)
      if (stored !== undefined) keeper.#applied = revive(stored)
    } catch (error) {
      options.log.warn(
        { reason: explainError(error) },
        'forgot the network policies until they are told again',
      )
    }
    return keeper
  }

  /** Says what is wanted; `apply` makes it so. */
  set(input: PolicyInput): void {
    this.#input = input
  }

  /** Our chains for the table `filter`; none without a policy. */
  chains(): ReadonlyMap<string, ChainRules> {
    const blocks = this.#options.containerBlocks()
    return blocks === undefined ? new Map() : policyChains(this.#applied, blocks)
  }

  /**
   * Makes what is wanted so.
   *
   * @throws `InvalidPolicy` (what was wanted before stays), `PolicyUnenforced`, `SetRefused`, `RulesRefused`, `BridgeUnfiltered`, …
   */
  async apply(): Promise<void> {
    const policy =
      this.#input === undefined ? this.#applied : compilePolicy(this.#input, new Set(this.#options.local()))
    if (this.#applied.stages.length === 0 && policy.stages.length === 0) return
    await this.#filterBridge(policy)
    await this.#sets.apply(policy.sets)
    this.#applied = policy
    await this.#options.syncFirewall()
    await this.#sets.prune(policy.sets)
    await this.#store(policy)
  }

  /** Makes the sets that rules refer to; comes before the rules are looked at. @throws `SetRefused`, … */
  async verifySets(): Promise<void> {
    if (this.#applied.stages.length === 0) return
    await this.#filterBridge(this.#applied)
    await this.#sets.verify(this.#applied.sets)
  }

  async #filterBridge(policy: CompiledPolicy): Promise<void> {
    const bridge = this.#options.bridgeName()
    const isWanted = policy.stages.length > 0
    if (bridge !== undefined) await setBridgedFiltering(bridge, isWanted)
    else if (isWanted && this.#options.containerBlocks() !== undefined) {
      throw networkErrors.PolicyUnenforced({ object: 'network policies of a flat network by macvlan' })
    }
  }

  async #store(policy: CompiledPolicy): Promise<void> {
    const stored: Static<typeof storedPolicySchema> = {
      stages: policy.stages.map(({ rules, ...stage }) => ({
        ...stage,
        rules: rules.map(({ ports, ...rule }) => ({
          ...rule,
          ...(ports === undefined ? {} : { ports: [...ports] }),
        })),
      })),
      sets: policy.sets.map(set => ({ ...set, members: [...set.members] })),
    }
    const text = JSON.stringify(stored)
    if (text === this.#stored) return
    await writeFileDurably(this.#file, text)
    this.#stored = text
  }
}

function revive({ stages, sets }: Static<typeof storedPolicySchema>): CompiledPolicy {
  return { stages, sets: sets.map(set => ({ ...set, members: new Set(set.members) })) }
}

/** Removes every set of network policies from this host; comes after their rules. @throws `SetRefused`, … */
export async function removePolicySets(log: Logger): Promise<void> {
  try {
    await new KernelSets(log).prune([])
  } catch (error) {
    // Without the program there never were sets.
    if (!isDroverError(error, 'CommandMissing')) throw error
  }
}
