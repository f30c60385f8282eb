/** The firewall rules of the routed network. */
import type { OverlayRules } from '../overlay/index.ts'

/** Networks to which containers go under their own addresses; the name is the 2017 system's. */
export const NO_NAT_SET = 'RANCHER_DISABLE_HOST_NAT_IPSET'

/** Addresses of the other hosts. */
export const HOST_SET = 'DROVER_ROUTED_HOSTS'

export interface RoutedRulesInput {
  readonly bridgeName: string
  /** Subnets and addresses of the other hosts. */
  readonly subnets: readonly string[]
  readonly hosts: readonly string[]
  /** Whether the sets are there: a rule for every network and address otherwise. */
  readonly hasSets: boolean
}

/** Lets containers and hosts of the cluster reach this host's containers, and keeps containers' addresses on the way. */
export function routedRules({ bridgeName, subnets, hosts, hasSets }: RoutedRulesInput): OverlayRules {
  if (hasSets) {
    return {
      input: [],
      forward: [
        `-o ${bridgeName} -m set --match-set ${NO_NAT_SET} src -j ACCEPT`,
        `-o ${bridgeName} -m set --match-set ${HOST_SET} src -j ACCEPT`,
      ],
      nat: [`-m set --match-set ${NO_NAT_SET} dst -j RETURN`],
    }
  }
  const sources = [...subnets, ...hosts.map(host => `${host}/32`)]
  return {
    input: [],
    forward: sources.map(source => `-s ${source} -o ${bridgeName} -j ACCEPT`),
    nat: subnets.map(subnet => `-d ${subnet} -j RETURN`),
  }
}
