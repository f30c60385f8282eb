/** Firewall rules that the tunnels need, in the words of iptables-save. */
import { blockWithIpv6Prefix, withIpv6Prefix } from '../../kit/index.ts'
import { hostAddressOf, NO_OVERLAY_RULES, type OverlayRules, type OverlayState } from '../overlay/index.ts'
import { TUNNEL_LINKS } from './tunnel-link.ts'

/** Addresses of one family. */
interface FamilyAddresses {
  readonly clusterBlock: string
  /** The gateway's, as the only one of its block. */
  readonly gatewayBlock: string
  /** By which this host is known to containers of others; undefined while it has no block. */
  readonly hostAddress: string | undefined
}

export function ipsecRules(state: OverlayState): OverlayRules {
  const { clusterBlock, bridgeName, gateway, blocks } = state
  const hostAddress = hostAddressOf(clusterBlock, blocks)
  return rulesFor({ clusterBlock, gatewayBlock: `${gateway}/32`, hostAddress }, bridgeName)
}

/** For ip6tables; none where containers have no IPv6 addresses. */
export function ipsecRules6(state: OverlayState): OverlayRules {
  const { clusterBlock, bridgeName, gateway, blocks, ipv6Prefix } = state
  if (ipv6Prefix === undefined) return NO_OVERLAY_RULES
  const hostAddress = hostAddressOf(clusterBlock, blocks)
  return rulesFor(
    {
      clusterBlock: blockWithIpv6Prefix(ipv6Prefix, clusterBlock),
      gatewayBlock: `${withIpv6Prefix(ipv6Prefix, gateway)}/128`,
      hostAddress: hostAddress && withIpv6Prefix(ipv6Prefix, hostAddress),
    },
    bridgeName,
  )
}

/**
 * Containers' packets between hosts pass through a tunnel or not at all, in both directions: a route that somebody changes
 * must not send them out unencrypted, and a neighbour must not pretend to be a container.
 */
function rulesFor(
  { clusterBlock, gatewayBlock, hostAddress }: FamilyAddresses,
  bridgeName: string,
): OverlayRules {
  const within = `-s ${clusterBlock} -d ${clusterBlock}`
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
            `-s ${gatewayBlock} -o ${TUNNEL_LINKS} -j SNAT --to-source ${hostAddress}`,
            `! -s ${clusterBlock} -o ${TUNNEL_LINKS} -j SNAT --to-source ${hostAddress}`,
          ],
  }
}
