/** A balancer of UDP as rules of nftables (nft(8)), for the network namespace of the balancer's container. Pure. */

export const UDP_BALANCER_TABLE = 'drover_balancer'

/** Who answers at a port. */
export interface UdpBackend {
  /** IPv4. */
  readonly address: string
  readonly port: number
  /** How many clients it gets beside the others; 0: it keeps those it has. */
  readonly weight: number
}

/** A port of the balancer's own addresses. */
export interface UdpBalancerPort {
  readonly port: number
  readonly backends: readonly UdpBackend[]
}

/** What is counted of a port. */
export const COUNTED = ['flows', 'in', 'out'] as const

export function counterName(what: (typeof COUNTED)[number], port: number): string {
  return `${what}_${port}`
}

/** Shares of one draw, as ranges that follow each other. */
function shares(backends: readonly UdpBackend[]): { readonly total: number; readonly elements: string[] } {
  let total = 0
  const elements = backends
    .filter(({ weight }) => weight > 0)
    .map(({ address, port, weight }) => {
      const first = total
      total += weight
      const range = weight === 1 ? `${first}` : `${first}-${total - 1}`
      return `${range} : ${address} . ${port}`
    })
  return { total, elements }
}

function forwardingRule({ port, backends }: UdpBalancerPort): string[] {
  const { total, elements } = shares(backends)
  // Nobody gets it: the kernel tells the client that the port is closed.
  if (total === 0) return []
  const draw = `numgen random mod ${total} map { ${elements.join(', ')} }`
  const counter = `counter name "${counterName('flows', port)}"`
  return [`fib daddr type local udp dport ${port} ${counter} dnat ip to ${draw}`]
}

function countingRules({ port }: UdpBalancerPort): string[] {
  const flow = `meta l4proto udp ct status dnat ct original proto-dst ${port}`
  return [
    `${flow} ct direction original counter name "${counterName('in', port)}"`,
    `${flow} ct direction reply counter name "${counterName('out', port)}"`,
  ]
}

function chain(name: string, hook: string, rules: readonly string[]): string[] {
  return [`chain ${name} {`, `type ${hook};`, ...rules, '}']
}

/**
 * The statements that put the rules for these ports into effect, in one step, whatever was there before. Each client is
 * led to one backend, drawn by weight, and stays with it as long as the kernel remembers its flow; answers come from the
 * balancer's address.
 *
 * @param keepCounters for the same ports as before: what was counted stays
 */
export function udpBalancerRules(ports: readonly UdpBalancerPort[], keepCounters: boolean): string {
  const table = `table ip ${UDP_BALANCER_TABLE}`
  const counters = ports.flatMap(({ port }) => COUNTED.map(what => `counter ${counterName(what, port)} {}`))
  return [
    table,
    keepCounters ? `flush ${table}` : `delete ${table}`,
    `${table} {`,
    ...counters,
    ...chain('prerouting', 'nat hook prerouting priority dstnat', ports.flatMap(forwardingRule)),
    ...chain('postrouting', 'nat hook postrouting priority srcnat', [
      'meta l4proto udp ct status dnat masquerade',
    ]),
    ...chain('forward', 'filter hook forward priority filter', ports.flatMap(countingRules)),
    '}',
    '',
  ].join('\n')
}
