/**
 * The nf_tables rules that let containers send under their own addresses only.
 *
 * They stand where frames enter a bridge, before anything has looked at them: what a container sends is an IPv4 packet
 * or an ARP message that bears the MAC and the IPv4 address that it was given, or is dropped. So no ARP message can
 * claim the gateway's or a neighbour's address, and nobody can be addressed in another's name.
 */

/** Where a container is connected, and who it may say it is. */
export interface Source {
  /** The host's end of its link. */
  readonly link: string
  readonly mac: string
  readonly address: string
}

/** Family and name of the table; all of it is ours. */
export const GUARD_TABLE = 'drover'

export const SOURCES_SET = 'sources'

/** One chain for frames of containers, and the hook that leads there. */
function tableText(linkPrefix: string, sources: readonly Source[]): string {
  const elements = sources.map(({ link, mac, address }) => `"${link}" . ${mac} . ${address}`)
  return [
    `table bridge ${GUARD_TABLE} {`,
    `  set ${SOURCES_SET} {`,
    '    type ifname . ether_addr . ipv4_addr',
    ...(elements.length === 0 ? [] : [`    elements = { ${elements.join(',\n      ')} }`]),
    '  }',
    '  chain container {',
    `    ether type ip iifname . ether saddr . ip saddr @${SOURCES_SET} accept`,
    `    ether type arp iifname . ether saddr . arp saddr ip @${SOURCES_SET} iifname . arp saddr ether . arp saddr ip @${SOURCES_SET} accept`,
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

/** `link mac address` → source: the identity of an element. */
export function sourceKey({ link, mac, address }: Source): string {
  return `${link} ${mac} ${address}`
}
