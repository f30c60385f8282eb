/** The firewall rules of the VXLAN network. */
import { blockWithIpv6Prefix, withIpv6Prefix } from '../../kit/index.ts'
import { NO_OVERLAY_RULES, type OverlayRules, type OverlayState } from '../overlay/index.ts'
import { VTEP_NAME, VXLAN_PORT } from './vtep.ts'

/** The set with the addresses of all peers. */
export const PEER_SET = 'DROVER_VXLAN_PEERS'

const TUNNEL = `-p udp -m udp --dport ${VXLAN_PORT}`

/**
 * A VXLAN port that anybody may send to is an open door into the network: only known peers may. What comes out of the
 * tunnel must come from the cluster, and may go to this host's containers only.
 *
 * @param peers addresses of those who may send
 * @param hasSet whether the set of peers is there: a rule per peer otherwise
 */
export function vxlanRules(state: OverlayState, peers: readonly string[], hasSet: boolean): OverlayRules {
  return {
    input: hasSet
      ? [`${TUNNEL} -m set ! --match-set ${PEER_SET} src -j DROP`]
      : [...peers.map(peer => `-s ${peer}/32 ${TUNNEL} -j RETURN`), `${TUNNEL} -j DROP`],
    ...innerRules(state.clusterBlock, `${state.gateway}/32`, state.bridgeName),
  }
}

/** For what is inside of the tunnel in IPv6; the tunnel itself is one of IPv4. */
export function vxlanRules6({ clusterBlock, gateway, bridgeName, ipv6Prefix }: OverlayState): OverlayRules {
  if (ipv6Prefix === undefined) return NO_OVERLAY_RULES
  const block = blockWithIpv6Prefix(ipv6Prefix, clusterBlock)
  return { input: [], ...innerRules(block, `${withIpv6Prefix(ipv6Prefix, gateway)}/128`, bridgeName) }
}

/** What comes out of the tunnel and goes into it. */
function innerRules(
  clusterBlock: string,
  gateway: string,
  bridgeName: string,
): Pick<OverlayRules, 'forward' | 'nat'> {
  return {
    // What nearly all packets are comes first.
    forward: [
      `-s ${clusterBlock} -i ${VTEP_NAME} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
      `-i ${bridgeName} -o ${VTEP_NAME} -j ACCEPT`,
      `-s ${clusterBlock} -i ${VTEP_NAME} -o ${bridgeName} -j ACCEPT`,
      `-i ${VTEP_NAME} -j DROP`,
    ],
    // Answers must find back through the tunnel: to senders outside of the cluster's network, and to the bridge's
    // address, which every host has, they would not.
    nat: [
      `! -s ${clusterBlock} -o ${VTEP_NAME} -j MASQUERADE`,
      `-s ${gateway} -o ${VTEP_NAME} -j MASQUERADE`,
    ],
  }
}
