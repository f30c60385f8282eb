/**
 * Chains of the proxy's table, in the words of nft(8). The name of a chain says what is in it, so services that need the
 * same share it.
 */
import { createHash } from 'node:crypto'
import type { ServiceProtocol } from './service-model.ts'

export const SERVICE_TABLE = 'drover_services'

/*
 * Marks are on the first packet of a connection, which alone passes the chains of the hooks for address translation.
 */

/** On packets that came by a service: they may be forwarded. */
export const SERVICE_MARK = 0x2000
/** On packets whose senders must be hidden behind this host; the number is Kubernetes'. */
const MASQUERADE_MARK = 0x4000
/** On packets that nobody serves. */
const REFUSE_MARK = 0x8000
/** On packets of pods that were led to themselves: no policy keeps them from that. */
export const SELF_MARK = 0x10000
/** The number of the endpoint that was drawn: no other part of a packet can be a key beside its address. */
const NUMBER_MASK = 0xfff

/** Endpoints of this host alone are numbered from here on, beside those of the whole cluster. */
export const LOCAL_OFFSET = 0x800

/** More endpoints of one port than this are not drawn. */
export const MOST_ENDPOINTS = LOCAL_OFFSET

/** A name and what it stands for. */
export interface Chain {
  readonly name: string
  readonly rules: readonly string[]
  /** Sets that the rules write into: name → definition. */
  readonly sets?: ReadonlyMap<string, string>
  /** The same for senders that are hidden; absent where a mark beforehand does it. */
  readonly hidden?: readonly string[]
  /** Chains that the rules go to. */
  readonly uses?: readonly Chain[]
}

/** By what a service is found: its address and port, or a port of this host. */
export type FrontKind = 'addresses' | 'ports'

function marked(mark: number): string {
  return `meta mark set meta mark | 0x${mark.toString(16)}`
}

/** Somebody answers, but not for these clients. */
export const DISCARD: Chain = { name: 'discard', rules: ['drop'] }

/** Nobody answers: the client is told so, by chains that are allowed to. */
export const REFUSE: Chain = { name: 'refuse', rules: [marked(REFUSE_MARK)] }

const LOOKUP: Readonly<
  Record<FrontKind, { readonly chain: string; readonly key: string; readonly map: string }>
> = {
  addresses: { chain: 'spread', key: 'ip daddr . meta l4proto . th dport', map: 'endpoints' },
  ports: { chain: 'port_spread', key: 'meta l4proto . th dport', map: 'port_endpoints' },
}

/** Whose endpoints a chain draws, and whether the sender is hidden behind this host. */
interface Spread {
  readonly kind: FrontKind
  readonly count: number
  readonly local: boolean
}

/** A handful of chains serves most services. */
const spreadChains = new Map<string, Chain>()

/** Leads to one of the `count` endpoints of whatever was asked for, each as likely as the others. */
export function spreadChain(kind: FrontKind, count: number, local: boolean): Chain {
  const key = `${kind} ${count} ${local}`
  const chain = spreadChains.get(key) ?? makeSpreadChain({ kind, count, local })
  spreadChains.set(key, chain)
  return chain
}

function makeSpreadChain(spread: Spread): Chain {
  const { kind, count, local } = spread
  const name = `${LOOKUP[kind].chain}_${local ? 'local_' : ''}${count}`
  return {
    name,
    rules: drawingRules(spread, SERVICE_MARK),
    hidden: drawingRules(spread, SERVICE_MARK | MASQUERADE_MARK),
  }
}

function drawingRules({ kind, count, local }: Spread, marks: number): string[] {
  const { key, map } = LOOKUP[kind]
  const offset = marks + (local ? LOCAL_OFFSET : 0)
  return [
    `meta mark set numgen random mod ${count} offset 0x${offset.toString(16)}`,
    `dnat to ${key} . (meta mark & 0x${NUMBER_MASK.toString(16)}) map @${map}`,
  ]
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

/** `10.42.0.7 . 8080`: the words of nft for where an endpoint is. */
export type Target = string

/**
 * Leads every client to the endpoint that it had before, as long as that is there.
 *
 * @param of what clients stay with: `shop/web http cluster`
 * @param seconds after which a client that did not come again is forgotten
 */
export function stickyChain(
  of: string,
  protocol: ServiceProtocol,
  seconds: number,
  targets: readonly Target[],
): Chain {
  const id = hashOf(`${of} ${protocol} ${seconds}`)
  const definition = `{ type ipv4_addr; size 65535; flags dynamic,timeout; timeout ${seconds}s; }`
  const endpoints = targets.map((target): Chain => {
    const name = `stay_${id}_${hashOf(target).slice(0, 8)}`
    return {
      name,
      rules: [
        marked(SERVICE_MARK),
        `update @${name} { ip saddr }`,
        `meta l4proto ${protocol} dnat to ${target.replace(' . ', ':')}`,
      ],
      sets: new Map([[name, definition]]),
    }
  })
  const choices = endpoints.map(({ name }, index) => `${index} : goto ${name}`)
  return {
    name: `sticky_${id}`,
    rules: [
      ...endpoints.map(({ name }) => `ip saddr @${name} goto ${name}`),
      `numgen random mod ${endpoints.length} vmap { ${choices.join(', ')} }`,
    ],
    uses: endpoints,
  }
}

/** Hides senders behind this host, so that answers come back to it; pods find back by themselves. */
export function hiddenChain(next: Chain, podBlock: string): Chain {
  return {
    name: `hidden_${next.name}`,
    rules: [
      `ip saddr ${podBlock} goto ${next.name}`,
      ...(next.hidden ?? [marked(MASQUERADE_MARK), `goto ${next.name}`]),
    ],
    uses: [next],
  }
}

/** For clients outside of the cluster, endpoints of this host alone; for the others, all of them. */
export function edgeChain(inside: Chain, outside: Chain, podBlock: string): Chain {
  const hidden = hiddenChain(inside, podBlock)
  return {
    name: `edge_${hashOf(`${inside.name} ${outside.name}`)}`,
    rules: [
      `ip saddr ${podBlock} goto ${inside.name}`,
      `fib saddr type local goto ${hidden.name}`,
      `goto ${outside.name}`,
    ],
    uses: [inside, hidden, outside],
  }
}

/** Lets clients of some blocks of addresses pass, and nobody else. @param blocks of IPv4 */
export function guardChain(next: Chain, blocks: readonly string[]): Chain {
  return {
    name: `guard_${hashOf(`${next.name} ${blocks.join(' ')}`)}`,
    rules: [...blocks.map(block => `ip saddr ${block} goto ${next.name}`), 'drop'],
    uses: [next],
  }
}

/**
 * The table without services: maps, and the chains that the kernel calls.
 *
 * @param gateway of this host's pods: the host's own address on their bridge, and the same on every host
 */
export function tableText(gateway: string): string {
  const isRefused = `meta mark & 0x${REFUSE_MARK.toString(16)} != 0`
  const hooks = (['input', 'forward', 'output'] as const).flatMap(hook => [
    `  chain refuse_${hook} {`,
    `    type filter hook ${hook} priority filter - 10; policy accept;`,
    // By a reset, because errors of ICMP are few per second and host.
    `    ${isRefused} meta l4proto tcp reject with tcp reset`,
    `    ${isRefused} reject`,
    ...(hook === 'forward'
      ? [`    ct state new ct status dnat ip saddr . ip daddr @hairpin ${marked(SELF_MARK)}`]
      : []),
    '  }',
  ])
  return [
    `table ip ${SERVICE_TABLE} {`,
    '  map addresses { type ipv4_addr . inet_proto . inet_service : verdict; }',
    '  map ports { type inet_proto . inet_service : verdict; }',
    '  map endpoints { type ipv4_addr . inet_proto . inet_service . mark : ipv4_addr . inet_service; }',
    '  map port_endpoints { type inet_proto . inet_service . mark : ipv4_addr . inet_service; }',
    // Addresses of endpoints of this host, each beside itself: who was led to itself.
    '  set hairpin { type ipv4_addr . ipv4_addr; }',
    '  chain services {',
    '    ip daddr . meta l4proto . th dport vmap @addresses',
    '    fib daddr type local ip daddr != { 127.0.0.0/8, 169.254.0.0/16 } meta l4proto . th dport vmap @ports',
    '  }',
    // Before Docker's rules, and those for published ports.
    '  chain prerouting { type nat hook prerouting priority dstnat - 10; policy accept; jump services; }',
    '  chain output { type nat hook output priority -110; policy accept; jump services; }',
    // After those of the way to other hosts, which know better behind which address.
    '  chain postrouting {',
    '    type nat hook postrouting priority srcnat + 10; policy accept;',
    `    meta mark & 0x${MASQUERADE_MARK.toString(16)} != 0 masquerade`,
    '    ct status dnat ip saddr . ip daddr @hairpin masquerade',
    // What the host itself asks comes from there, and from another host, answers would not find back.
    `    ct status dnat ip saddr ${gateway} masquerade`,
    '  }',
    ...hooks,
    '}',
  ].join('\n')
}

/** Chains of `tableText`, which are there as long as the table is. */
export const FIXED_CHAINS: readonly string[] = [
  ...['services', 'prerouting', 'output', 'postrouting'],
  ...['refuse_input', 'refuse_forward', 'refuse_output'],
]
