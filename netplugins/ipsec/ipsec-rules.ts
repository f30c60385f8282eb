/** Firewall rules that the tunnels need, in the words of iptables-save. */
import { hostAddressOf, type OverlayRules, type OverlayState } from '../overlay/index.ts'
import { TUNNEL_LINKS } from './tunnel-link.ts'

/**
 * Containers' packets between hosts pass through a tunnel or not at all, in both directions: a route that somebody changes
 * must not send them out unencrypted, and a neighbour must not pretend to be a container.
 */
export function ipsecRules(state: OverlayState): OverlayRules {
  const { clusterBlock, bridgeName } = state
  const within = `-s ${clusterBlock} -d ${clusterBlock}`
  const hostAddress = hostAddressOf(clusterBlock, state.blocks)
  return {
    input: [],
    forward: [
      // Before anything is accepted: connections learn the length of packets that fit through.
      `-o ${TUNNEL_LINKS} -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu`,
      `${within} -i ${bridgeName} -o ${bridgeName} -j ACCEPT`,
      `${within} -i ${bridgeName} -o ${TUNNEL_LINKS} -j ACCEPT`,
      `${within} -i ${TUNNEL_LINKS} -o ${bridgeName} -j ACCEPT`,
      `${within} -j DROP`,
    ],
    // The gateway's address is the same on every host: answers to it would go to the peer itself.
    nat:
      hostAddress === undefined
        ? []
        : [
            `-s ${state.gateway}/32 -o ${TUNNEL_LINKS} -j SNAT --to-source ${hostAddress}`,
            `! -s ${clusterBlock} -o ${TUNNEL_LINKS} -j SNAT --to-source ${hostAddress}`,
          ],
  }
}
