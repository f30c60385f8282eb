/**
 * The nf_tables rules that let containers send under their own addresses only.
 *
 * They stand where frames enter a bridge, before anything has looked at them: what a container sends is an IPv4 packet
 * or an ARP message that bears the MAC and the IPv4 address that it was given, or is dropped. So no ARP message can
 * claim the gateway's or a neighbour's address, and nobody can be addressed in another's name.
 *
 * An IPv6 packet must be for the gateway, besides: what containers sent each other directly would pass no firewall rule.
 * Neighbour discovery is not needed, and there is nobody whom it may tell anything (RFC 4861).
 */

/** Where a container is connected, and who it may say it is. */
export interface Source {
  /** The host's end of its link. */
  readonly link: string
  readonly mac: string
  readonly address: string
  /** The only MAC address that it may send to; every source of IPv6 has one, and none of IPv4. */
  readonly gatewayMac?: string
}

/** Family and name of the table; all of it is ours. */
export const GUARD_TABLE = 'drover'

export const SOURCES_SET = 'sources'

/** Sources of IPv6. */
export const SOURCES_SET_6 = 'sources6'

function setText(name: string, types: string, elements: readonly string[]): string[] {
  return [
    `  set ${name} {`,
    `    type ${types}`,
    ...(elements.length === 0 ? [] : [`    elements = { ${elements.join(',\n      ')} }`]),
    '  }',
  ]
}

/** One chain for frames of containers, and the hook that leads there. */
function tableText(linkPrefix: string, sources: readonly Source[]): string {
  const elements: string[] = []
  const elements6: string[] = []
  for (const { link, mac, address, gatewayMac } of sources) {
    if (gatewayMac === undefined) elements.push(`"${link}" . ${mac} . ${address}`)
    else elements6.push(`"${link}" . ${mac} . ${gatewayMac} . ${address}`)
  }
  return [
    `table bridge ${GUARD_TABLE} {`,
    ...setText(SOURCES_SET, 'ifname . ether_addr . ipv4_addr', elements),
    ...setText(SOURCES_SET_6, 'ifname . ether_addr . ether_addr . ipv6_addr', elements6),
    '  chain container {',
    `    ether type ip iifname . ether saddr . ip saddr @${SOURCES_SET} accept`,
    `    ether type arp iifname . ether saddr . arp saddr ip @${SOURCES_SET} iifname . arp saddr ether . arp saddr ip @${SOURCES_SET} accept`,
    '    icmpv6 type 133-137 drop',
    `    ether type ip6 iifname . ether saddr . ether daddr . ip6 saddr @${SOURCES_SET_6} accept`,
    '    counter drop',
    '  }',
    '  chain arriving {',
    '    type filter hook prerouting priority -350; policy accept;',
    `    iifname "${linkPrefix}*" goto container`,
    '  }',
    '}',
  ].join('\n')
}

/** Replaces the table, if there is one, in one step: no frame passes in between. */
export function replacementDocument(linkPrefix: string, sources: readonly Source[]): string {
  return `table bridge ${GUARD_TABLE}\ndelete table bridge ${GUARD_TABLE}\n${tableText(linkPrefix, sources)}\n`
}

/** The identity of an element. */
export function sourceKey({ link, mac, address, gatewayMac = '' }: Source): string {
  return `${link} ${mac} ${address} ${gatewayMac}`
}
