/**
 * Keeps the host's network policies: compiles what is wanted, makes sets before rules that refer to them, and removes
 * them after those.
 *
 * What was compiled is kept on disk, because a process that starts does not know yet what is wanted, and must not open
 * what was closed.
 */
import path from 'node:path'
import {
  type CancelTimer,
  explainError,
  type Ipv6Prefix,
  isDroverError,
  type Logger,
  readJsonFile,
  type Static,
  systemClock,
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
import { PolicyIpv6 } from './policy-ipv6.ts'

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
      blocks6: Type.Optional(Type.Array(Type.String())),
    }),
  ),
})

/** Milliseconds for which changes of members are collected before they are written; rules are written at once. */
const WRITE_DELAY = 5_000

const storedPolicy = validatorOf(storedPolicySchema)

export interface PolicyKeeperOptions {
  /** Where the compiled policy is kept. */
  readonly directory: string
  /** The bridge that containers are connected to; undefined where they are on none. */
  readonly bridgeName: () => string | undefined
  /** Blocks in which the addresses of all containers are; undefined until somebody said what the network is. */
  readonly containerBlocks: () => readonly string[] | undefined
  /** What makes their IPv6 addresses of these; undefined where they have none. */
  readonly ipv6Prefix: () => Ipv6Prefix | undefined
  /** Addresses of this host's containers. */
  readonly local: () => Iterable<string>
  /** Whether packets between containers of this host must pass its rules for the sake of services. */
  readonly bridgedServices: () => boolean
  /** Brings the firewalls in line with `chains` and `ipv6Chains`. */
  readonly syncFirewall: () => Promise<void>
  readonly log: Logger
}

export class PolicyKeeper {
  readonly #options: PolicyKeeperOptions
  readonly #file: string
  readonly #sets: KernelSets
  readonly #ipv6: PolicyIpv6
  /** What is wanted; undefined until somebody said it. */
  #input: PolicyInput | undefined
  /** What counts: its sets exist, as far as is known. */
  #applied: CompiledPolicy = NO_POLICY
  /** The rules that are on disk. */
  #storedRules: string | undefined
  /** Whether the bridge's packets pass our rules; undefined when that is not known. */
  #isFiltered: boolean | undefined
  /** An application that has not begun: whoever asks now is in it. */
  #next: Promise<void> | undefined
  #running: Promise<unknown> = Promise.resolve()
  #writeLater: CancelTimer | undefined

  private constructor(options: PolicyKeeperOptions) {
    this.#options = options
    this.#file = path.join(options.directory, 'policy.json')
    this.#sets = new KernelSets(options.log)
    this.#ipv6 = new PolicyIpv6({ prefix: options.ipv6Prefix, sets: this.#sets, log: options.log })
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

  /** The same for ip6tables; none where containers have no IPv6 addresses. */
  ipv6Chains(): ReadonlyMap<string, ChainRules> {
    const blocks = this.#options.containerBlocks()
    return blocks === undefined ? new Map() : this.#ipv6.chains(this.#applied, blocks)
  }

  /**
   * Makes what is wanted so; calls at the same time are one.
   *
   * @throws `InvalidPolicy` (what was wanted before stays), `PolicyUnenforced`, `SetRefused`, `RulesRefused`, `BridgeUnfiltered`, …
   */
  apply(): Promise<void> {
    this.#next ??= this.#inTurn(async () => {
      this.#next = undefined
      await this.#apply()
    })
    return this.#next
  }

  /** `apply` where pods may be isolated, and at once elsewhere; what goes wrong is for others to tell and to repeat. */
  async settle(): Promise<void> {
    if ((this.#input?.kubernetes?.policies.length ?? 0) === 0) return
    await this.apply().catch(error =>
      this.#options.log.debug({ err: error }, 'a container starts before the policies are as they should be'),
    )
  }

  /** Writes what is not on disk yet. */
  async close(): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#writeLater !== undefined) await this.#store(this.#applied)
    })
  }

  /** Makes the sets that rules refer to; comes before the rules are looked at. @throws `SetRefused`, … */
  verifySets(): Promise<void> {
    return this.#inTurn(async () => {
      this.#isFiltered = undefined
      await this.#filterBridge(this.#applied)
      if (this.#applied.stages.length === 0) return
      await this.#sets.verify(this.#applied.sets)
      // When it fails, the rules that come now close what it would have opened, and `apply` says why.
      await this.#ipv6.make(this.#applied)
    })
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#running.then(work)
    this.#running = turn.catch(() => undefined)
    return turn
  }

  async #apply(): Promise<void> {
    const policy =
      this.#input === undefined ? this.#applied : compilePolicy(this.#input, new Set(this.#options.local()))
    await this.#filterBridge(policy)
    if (this.#applied.stages.length === 0 && policy.stages.length === 0) return
    await this.#sets.apply(policy.sets)
    const problem = await this.#ipv6.make(policy)
    this.#applied = policy
    await this.#options.syncFirewall()
    await this.#sets.prune([...policy.sets, ...this.#ipv6.sets(policy)])
    const rules = JSON.stringify(policy.stages)
    if (rules !== this.#storedRules) await this.#store(policy)
    else this.#writeLater ??= systemClock.after(WRITE_DELAY, () => this.#writeNow())
    if (problem !== undefined) throw problem
  }

  #writeNow(): void {
    this.close().catch(error =>
      this.#options.log.warn({ err: error }, `network policies were not written: ${explainError(error)}`),
    )
  }

  async #filterBridge(policy: CompiledPolicy): Promise<void> {
    const bridge = this.#options.bridgeName()
    const isWanted = policy.stages.length > 0 || this.#options.bridgedServices()
    if (bridge !== undefined) await this.#switchFilter(bridge, isWanted)
    else if (policy.stages.length > 0 && this.#options.containerBlocks() !== undefined) {
      throw networkErrors.PolicyUnenforced({ object: 'network policies of a flat network by macvlan' })
    }
  }

  async #switchFilter(bridge: string, isWanted: boolean): Promise<void> {
    if (this.#isFiltered === isWanted) return
    try {
      await setBridgedFiltering(bridge, isWanted)
      this.#isFiltered = isWanted
    } catch (error) {
      // Before there is a bridge, there is nothing to filter.
      if (isWanted) throw error
    }
  }

  async #store(policy: CompiledPolicy): Promise<void> {
    this.#writeLater?.()
    this.#writeLater = undefined
    const stored: Static<typeof storedPolicySchema> = {
      stages: policy.stages.map(({ rules, ...stage }) => ({
        ...stage,
        rules: rules.map(({ ports, ...rule }) => ({
          ...rule,
          ...(ports === undefined ? {} : { ports: [...ports] }),
        })),
      })),
      sets: policy.sets.map(({ key, type, members, blocks6 }) => ({
        ...{ key, type, members: [...members] },
        ...(blocks6 === undefined ? {} : { blocks6: [...blocks6] }),
      })),
    }
    await writeFileDurably(this.#file, JSON.stringify(stored))
    this.#storedRules = JSON.stringify(policy.stages)
  }
}

function revive({ stages, sets }: Static<typeof storedPolicySchema>): CompiledPolicy {
  return {
    stages,
    sets: sets.map(({ key, type, members, blocks6 }) => ({
      ...{ key, type, members: new Set(members) },
      ...(blocks6 === undefined ? {} : { blocks6: new Set(blocks6) }),
    })),
  }
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
