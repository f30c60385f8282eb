/**
 * Policies in the form that the 2017 system had: a default action and rules of the network object, read in order, about
 * traffic between containers of the cluster.
 *
 * They are enforced where the destination is: every host compiles what concerns its own containers.
 */
import { networkErrors } from '../errors.ts'
import {
  type CompiledPolicy,
  NO_POLICY,
  type PolicyPorts,
  type PolicyRule,
  PolicySets,
  type PolicyStage,
} from './policy-model.ts'
import { type LabelPredicate, type Labels, readSelector } from './selectors.ts'

export type PolicyAction = 'allow' | 'deny'

/** A rule of the network object; without `within`, `between`, `from` and `to` it is about everybody. */
export interface NetworkPolicyRuleInput {
  readonly within?: 'stack' | 'service' | 'linked' | undefined
  readonly between?:
    | { readonly selector?: string | undefined; readonly groupBy?: string | undefined }
    | undefined
  readonly from?: { readonly selector: string } | undefined
  readonly to?: { readonly selector: string } | undefined
  /** `80` (TCP and UDP), `80/tcp`, `53/udp`. */
  readonly ports?: readonly string[] | undefined
  readonly action: PolicyAction
}

/** A container of the cluster, on whatever host. */
export interface PolicyMember {
  readonly address: string
  readonly labels: Labels
  readonly stackUuid?: string | undefined
  readonly serviceUuid?: string | undefined
  /** Services that its service has links to. */
  readonly linkedServiceUuids: readonly string[]
  /** Part of the system: reaches and is reached by everybody. */
  readonly system: boolean
}

export interface NetworkPolicyInput {
  readonly defaultAction: PolicyAction
  readonly rules: readonly NetworkPolicyRuleInput[]
  readonly members: readonly PolicyMember[]
}

/** A group of sources and a group of destinations of one rule. */
interface Pair {
  readonly from?: string
  readonly to?: string
}

function readPorts(text: string): PolicyPorts[] {
  const [, digits, protocol] = /^(\d{1,5})(?:\/(tcp|udp))?$/.exec(text) ?? []
  const port = Number(digits)
  if (digits === undefined || port < 1 || port > 65_535) {
    throw networkErrors.InvalidPolicy({
      object: `port ${JSON.stringify(text.slice(0, 40))} of a network policy`,
      expected: 'a number from 1 to 65535, alone or followed by /tcp or /udp',
    })
  }
  const protocols =
    protocol === undefined ? (['tcp', 'udp'] as const) : ([protocol === 'udp' ? 'udp' : 'tcp'] as const)
  return protocols.map(name => ({ protocol: name, first: port, last: port }))
}

class Compiler {
  readonly #input: NetworkPolicyInput
  readonly #local: ReadonlySet<string>
  readonly sets = new PolicySets()

  constructor(input: NetworkPolicyInput, local: ReadonlySet<string>) {
    this.#input = input
    this.#local = local
  }

  rulesOf(rule: NetworkPolicyRuleInput): PolicyRule[] {
    const ports = rule.ports?.flatMap(readPorts)
    return this.#pairs(rule).map(pair => ({
      action: rule.action,
      ...pair,
      ...(ports === undefined ? {} : { ports }),
    }))
  }

  systemRules(): PolicyRule[] {
    const system = this.#input.members.filter(member => member.system)
    if (system.length === 0) return []
    const key = this.#set('system', system)
    return [
      { action: 'allow', from: key },
      { action: 'allow', to: key },
    ]
  }

  #pairs(rule: NetworkPolicyRuleInput): Pair[] {
    switch (rule.within) {
      case 'stack':
        return this.#among('stack', member => member.stackUuid)
      case 'service':
        return this.#among('service', member => member.serviceUuid)
      case 'linked':
        return this.#linked()
      case undefined:
        break
    }
    const { between, from, to } = rule
    if (between?.groupBy !== undefined) {
      const { groupBy } = between
      return this.#among(`label ${groupBy}`, member => member.labels[groupBy])
    }
    if (between?.selector !== undefined) {
      const key = this.#selected(between.selector)
      return [{ from: key, to: key }]
    }
    return [
      {
        ...(from === undefined ? {} : { from: this.#selected(from.selector) }),
        ...(to === undefined ? {} : { to: this.#selected(to.selector) }),
      },
    ]
  }

  /** Members that have the same value reach each other; only groups that a container of this host is in matter. */
  #among(name: string, groupOf: (member: PolicyMember) => string | undefined): Pair[] {
    return this.#groups(groupOf).flatMap(([value, members]) => {
      if (value === undefined || !members.some(member => this.#local.has(member.address))) return []
      const key = this.#set(`${name} ${value}`, members)
      return [{ from: key, to: key }]
    })
  }

  /** In one order, whichever member is named first: a change of members is no change of rules. */
  #groups(groupOf: (member: PolicyMember) => string | undefined): [string | undefined, PolicyMember[]][] {
    return [...Map.groupBy(this.#input.members, groupOf)].toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1))
  }

  #linked(): Pair[] {
    return this.#groups(member => member.serviceUuid).flatMap(([service, members]) => {
      if (service === undefined || !members.some(member => this.#local.has(member.address))) return []
      const clients = this.#input.members.filter(member => member.linkedServiceUuids.includes(service))
      if (clients.length === 0) return []
      return [
        { from: this.#set(`linked to ${service}`, clients), to: this.#set(`service ${service}`, members) },
      ]
    })
  }

  #selected(selector: string): string {
    const matches: LabelPredicate = readSelector(selector)
    return this.#set(
      `selector ${selector}`,
      this.#input.members.filter(member => matches(member.labels)),
    )
  }

  #set(key: string, members: readonly PolicyMember[]): string {
    return this.sets.add(
      key,
      members.map(member => member.address),
    )
  }
}

/**
 * @param local addresses of this host's containers, known to `members` or not: for those that are not, the default counts
 * @throws `InvalidPolicy`
 */
export function compileNetworkPolicy(input: NetworkPolicyInput, local: ReadonlySet<string>): CompiledPolicy {
  const compiler = new Compiler(input, local)
  const rules = input.rules.flatMap(rule => compiler.rulesOf(rule))
  if (input.defaultAction === 'allow' && !rules.some(rule => rule.action === 'deny')) return NO_POLICY
  const stage: PolicyStage = {
    name: 'network',
    guard: { set: compiler.sets.add('containers of this host', local), side: 'dst' },
    rules: [...compiler.systemRules(), ...rules],
    otherwise: input.defaultAction,
  }
  return { stages: [stage], sets: compiler.sets.list() }
}
