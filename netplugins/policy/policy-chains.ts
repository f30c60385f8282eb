/** A compiled policy in the words of iptables-save. In our chains, RETURN means allowed and DROP denied. */
import { createHash } from 'node:crypto'
import { type Ipv6Prefix, withIpv6Prefix } from '../../kit/index.ts'
import type { ChainRules } from '../iptables/index.ts'
import type { IpFamily } from '../netlink/index.ts'
import { SELF_MARK } from '../service-proxy/index.ts'
import type { CompiledPolicy, PolicyPorts, PolicyRule, PolicyStage } from './policy-model.ts'

export const POLICY_CHAIN = 'CATTLE_NETWORK_POLICY'

/** How the names of our sets of a family begin; names have 31 characters at most. */
export const SET_PREFIX: Readonly<Record<IpFamily, string>> = { 4: 'RNCH-', 6: 'RNCH6-' }

/** Under which a set is filled before it takes the place of the old one. */
export const TEMPORARY_SET_PREFIX: Readonly<Record<IpFamily, string>> = { 4: 'TMP-', 6: 'TMP6-' }

/** As iptables-save prints it. */
const TO_ITSELF = `0x${SELF_MARK.toString(16)}/0x${SELF_MARK.toString(16)}`

const CHAINS: Readonly<Record<PolicyStage['name'], string>> = {
  network: 'CATTLE_POLICY_NETWORK',
  ingress: 'CATTLE_POLICY_INGRESS',
  egress: 'CATTLE_POLICY_EGRESS',
}

/** The name of a set follows from what it stands for, so that its members change without the rules. */
export function setName(key: string, family: IpFamily = 4, prefixes = SET_PREFIX): string {
  return `${prefixes[family]}${createHash('sha256').update(key).digest('hex').slice(0, 20)}`
}

function match(key: string | undefined, side: 'src' | 'dst', family: IpFamily): string {
  return key === undefined ? '' : `-m set --match-set ${setName(key, family)} ${side} `
}

function portMatch({ protocol, first, last }: PolicyPorts): string {
  if (first === undefined || last === undefined) return `-p ${protocol} `
  const range = first === last ? String(first) : `${first}:${last}`
  // The module of SCTP is missing in many kernels, and one rule that is refused refuses all.
  return protocol === 'sctp'
    ? `-p sctp -m multiport --dports ${range} `
    : `-p ${protocol} -m ${protocol} --dport ${range} `
}

function ruleLines({ action, from, to, ports }: PolicyRule, family: IpFamily): string[] {
  const sets = `${match(from, 'src', family)}${match(to, 'dst', family)}`
  const verdict = `-j ${action === 'allow' ? 'RETURN' : 'DROP'}`
  if (ports === undefined) return [`${sets}${verdict}`]
  // iptables-save prints the protocol first, whatever was said first.
  return ports.map(port => {
    const text = portMatch(port)
    const [protocol = '', ...rest] = text.split(/(?<=^-p \w+ )/)
    return `${protocol}${sets}${rest.join('')}${verdict}`
  })
}

/** What was allowed to begin may go on. */
const GOING_ON = '-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN'

/**
 * For IPv6, where it has no sets: nobody who is isolated is reached any more, or reaches anybody. Without a set, every one
 * of this host's isolated containers has a rule of its own.
 *
 * @param containers blocks of containers' IPv6 addresses
 */
export function closedChains(
  policy: CompiledPolicy,
  containers: readonly string[],
  prefix: Ipv6Prefix,
): ReadonlyMap<string, ChainRules> {
  const members = new Map(policy.sets.map(({ key, members: addresses }) => [key, addresses]))
  const rules = policy.stages.flatMap(({ name, guard }) =>
    [...(members.get(guard.set) ?? [])].flatMap(address => {
      const isolated = `${guard.side === 'src' ? '-s' : '-d'} ${withIpv6Prefix(prefix, address)}/128 -j DROP`
      return name === 'network' ? containers.map(block => `-s ${block} ${isolated}`) : [isolated]
    }),
  )
  return policy.stages.length === 0 ? new Map() : new Map([[POLICY_CHAIN, [GOING_ON, ...new Set(rules)]]])
}

/**
 * @param containers blocks of containers' addresses: the stage `network` is about traffic between them alone
 * @param family of the blocks, and of the rules
 * @returns our chains; none for a policy without stages
 */
export function policyChains(
  policy: CompiledPolicy,
  containers: readonly string[],
  family: IpFamily = 4,
): ReadonlyMap<string, ChainRules> {
  if (policy.stages.length === 0) return new Map()
  const chains = new Map<string, ChainRules>([
    [
      POLICY_CHAIN,
      [
        GOING_ON,
        // A pod cannot block access to itself (Kubernetes, "Network Policies"), which a service may lead it to.
        `-m mark --mark ${TO_ITSELF} -j RETURN`,
        ...policy.stages.flatMap(({ name, guard }) => {
          const senders = name === 'network' ? containers.map(block => `-s ${block} `) : ['']
          return senders.map(from => `${from}${match(guard.set, guard.side, family)}-j ${CHAINS[name]}`)
        }),
      ],
    ],
  ])
  for (const stage of policy.stages) {
    const lines = stage.rules.flatMap(rule => ruleLines(rule, family))
    chains.set(CHAINS[stage.name], [...lines, ...(stage.otherwise === 'deny' ? ['-j DROP'] : [])])
  }
  return chains
}
