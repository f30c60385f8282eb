/** Which ip6tables rules the network needs, where containers have IPv6 addresses. Names are those of IPv4. */
import { blockWithIpv6Prefix, type Ipv6Prefix } from '../../kit/index.ts'
import { type ChainRules, type DesiredRules, NO_RULES } from '../../netplugins/iptables/index.ts'
import type { OverlayRules } from '../../netplugins/overlay/index.ts'
import { forwardJumps, USER_CHAIN } from './firewall-rules.ts'

export interface FirewallInput6 {
  readonly prefix: Ipv6Prefix
  /** Of IPv4. */
  readonly clusterBlock: string
  readonly bridgeName: string
  /** Whether this host passes on packets for the containers' sake alone: then it must do it for nobody else. */
  readonly forwardsOurs: boolean
  /** Chains that decide who may talk to whom; the first of them is jumped to. */
  readonly policy: ReadonlyMap<string, ChainRules>
  /** What the way to other hosts needs. */
  readonly overlay: OverlayRules
}

/**
 * Docker closes FORWARD for IPv4, and usually not for IPv6: what may not reach containers from outside is dropped here.
 */
function forwardRules({ bridgeName, forwardsOurs, overlay }: FirewallInput6): string[] {
  return [
    ...overlay.forward,
    `-i ${bridgeName} -j ACCEPT`,
    `-o ${bridgeName} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
    `-o ${bridgeName} -j DROP`,
    ...(forwardsOurs ? ['-j DROP'] : []),
  ]
}

/** Everything of ours in the tables of IPv6 of this host. Published ports are not led there: the agent's sockets have them. */
export function firewallRules6(input: FirewallInput6): DesiredRules {
  const { prefix, clusterBlock, bridgeName, policy, overlay } = input
  const block = blockWithIpv6Prefix(prefix, clusterBlock)
  return {
    raw: NO_RULES.raw,
    nat: {
      chains: new Map([
        [
          'CATTLE_NAT_POSTROUTING',
          [
            ...overlay.nat,
            `-s ${block} -d ${block} -j RETURN`,
            `-s ${block} ! -o ${bridgeName} -j MASQUERADE`,
          ],
        ],
      ]),
      userChains: [],
      jumps: [{ from: 'POSTROUTING', rule: '-j CATTLE_NAT_POSTROUTING' }],
    },
    filter: {
      chains: new Map<string, ChainRules>([
        ['CATTLE_INPUT', overlay.input],
        ['CATTLE_FORWARD', forwardRules(input)],
        ...policy,
      ]),
      userChains: [USER_CHAIN],
      jumps: forwardJumps(policy),
    },
  }
}
