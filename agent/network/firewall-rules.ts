/**
 * Which iptables rules the network needs: names, marks and hooks are those that hosts of the 2017 system had, so that
 * what users built around them still fits.
 *
 * Rules are in the words of iptables-save, because that is how they are recognised.
 */
import { type ChainRules, type DesiredRules, type Jump, NO_RULES } from '../../netplugins/iptables/index.ts'
import type { OverlayRules } from '../../netplugins/overlay/index.ts'
import { POLICY_CHAIN } from '../../netplugins/policy/index.ts'
import { SERVICE_MARK } from '../../netplugins/service-proxy/index.ts'
import { ANY_ADDRESS, type Attachment, isLoopbackOnly, isRelayed, type PublishedPort } from './attachment.ts'
import type { NetworkPlan, NetworkSettings } from './settings.ts'

/** Mark of the first packet of a connection to a published port (4200); Kubernetes has 0x4000 and 0x8000. */
export const PUBLISHED_MARK = '0x1068'

/** As iptables-save prints it. */
const SERVICE_MATCH = `0x${SERVICE_MARK.toString(16)}/0x${SERVICE_MARK.toString(16)}`

/** Docker's own bridge, of which containers ask metadata whether it is there yet or not. */
const DOCKER_BRIDGE = 'docker0'

/** Chain for rules of the user's own, looked at before ours. */
export const USER_CHAIN = 'CATTLE_USER'

const LOCAL = '-m addrtype --dst-type LOCAL'

/** The first rules of the built-in chains, in order. */
export const JUMPS: Readonly<Record<keyof DesiredRules, readonly Jump[]>> = {
  // None: every packet would pass them, those of established connections between containers too.
  raw: [],
  nat: [
    { from: 'PREROUTING', rule: `${LOCAL} -j CATTLE_PREROUTING` },
    { from: 'OUTPUT', rule: `${LOCAL} -j CATTLE_OUTPUT` },
    { from: 'POSTROUTING', rule: '-j CATTLE_NAT_POSTROUTING' },
    { from: 'POSTROUTING', rule: '-j CATTLE_HOSTPORTS_POSTROUTING' },
  ],
  filter: [
    { from: 'INPUT', rule: '-j CATTLE_INPUT' },
    { from: 'FORWARD', rule: `-j ${USER_CHAIN}` },
    { from: 'FORWARD', rule: '-j CATTLE_FORWARD' },
  ],
}

/** After the user's rules, before ours accept anything. */
export function forwardJumps(policy: ReadonlyMap<string, ChainRules>): readonly Jump[] {
  if (policy.size === 0) return JUMPS.filter
  return JUMPS.filter.flatMap(jump =>
    jump.rule.endsWith(USER_CHAIN) ? [jump, { from: 'FORWARD', rule: `-j ${POLICY_CHAIN}` }] : [jump],
  )
}

/** A published port and the container behind it. */
export interface Publication extends PublishedPort {
  readonly address: string
}

export interface FirewallInput {
  readonly plan: NetworkPlan
  readonly bridgeName: string
  readonly attachments: readonly Attachment[]
  /** Bridges of Docker networks beside `docker0`. */
  readonly dockerBridges: readonly string[]
  /** Where containers are on the hosts' own network, the link on which they ask for metadata. */
  readonly flatLink?: string | undefined
  /** Chains that decide who may talk to whom; the first of them is jumped to. */
  readonly policy?: ReadonlyMap<string, ChainRules> | undefined
  /** What the way to other hosts, or the hosts' own network, needs. */
  readonly overlay?: OverlayRules | undefined
}

/** Every published port that packets from outside may ask for. */
export function publicationsOf(attachments: readonly Pick<Attachment, 'address' | 'ports'>[]): Publication[] {
  return (
    attachments
      .flatMap(({ address, ports }) => ports.map(port => ({ ...port, address })))
      // Packets to 127.0.0.1 never come from outside; the host's own go through the agent's socket.
      .filter(port => !isLoopbackOnly(port) && !isRelayed(port))
      // One order whatever happened before, so that a change of one port is a change of one rule.
      .toSorted(
        (a, b) =>
          a.hostPort - b.hostPort ||
          a.protocol.localeCompare(b.protocol) ||
          a.bindAddress.localeCompare(b.bindAddress),
      )
  )
}

/** `-d ADDRESS -p tcp -m tcp --dport PORT`, as far as it is limited to an address. */
export function toHostPort(port: Publication, unlimited = ''): string {
  const destination = port.bindAddress === ANY_ADDRESS ? unlimited : `-d ${port.bindAddress}/32 `
  return `${destination}-p ${port.protocol} -m ${port.protocol} --dport ${port.hostPort}`
}

/**
 * Only containers and the host itself reach the metadata address: for everybody else it does not exist. (A neighbour
 * could route packets for it to this host, CVE-2020-8558.)
 */
function metadataGate({ bridgeName, flatLink, dockerBridges }: FirewallInput): readonly string[] {
  const flat = flatLink === undefined ? [] : [flatLink]
  const bridges = new Set([bridgeName, DOCKER_BRIDGE, ...flat, ...dockerBridges.toSorted()])
  return [...[...bridges, 'lo'].map(link => `-i ${link} -j RETURN`), '-j DROP']
}

/** Sends containers to the ports on which metadata and DNS really listen, and keeps published ports off the address. */
export function metadataRules({ address, httpPort, dnsPort }: NetworkSettings['metadata']): string[] {
  const redirect = (protocol: string, from: number, to: number) =>
    from === to
      ? []
      : [
          `-d ${address}/32 -p ${protocol} -m ${protocol} --dport ${from} -j DNAT --to-destination ${address}:${to}`,
        ]
  return [
    ...redirect('tcp', 80, httpPort),
    ...redirect('udp', 53, dnsPort),
    ...redirect('tcp', 53, dnsPort),
    `-d ${address}/32 -j RETURN`,
  ]
}

export function toContainer(port: Publication): string {
  return `-j DNAT --to-destination ${port.address}:${port.containerPort}`
}

/**
 * Leads packets from elsewhere to the container, and marks them. The mark is on the first packet of a connection, the only
 * one that passes here: the others are known by their connection.
 */
export function fromElsewhere(port: Publication): string[] {
  const match = toHostPort(port)
  return [`${match} -j MARK --set-xmark ${PUBLISHED_MARK}/0xffffffff`, `${match} ${toContainer(port)}`]
}

/** A container that reached another (or itself) by way of the host must get its answers by way of the host. */
function hairpinRule(port: Publication, clusterBlock: string): string {
  const { address, containerPort, protocol } = port
  return `-s ${clusterBlock} -d ${address}/32 -p ${protocol} -m ${protocol} --dport ${containerPort} -m conntrack --ctstate DNAT -j MASQUERADE`
}

/** Inside the cluster, and on the way to metadata, the source address is who a container is. */
function masqueradeRules({ plan, bridgeName, overlay }: FirewallInput): string[] {
  const { clusterBlock, metadata } = plan.settings
  return [
    ...(overlay?.nat ?? []),
    `-s ${clusterBlock} -d ${metadata.address}/32 -j RETURN`,
    `-s ${clusterBlock} -d ${clusterBlock} -j RETURN`,
    `-s ${clusterBlock} ! -o ${bridgeName} -j MASQUERADE`,
  ]
}

/** Needed where the policy of FORWARD is DROP, as Docker makes it. */
function forwardRules({ bridgeName, overlay }: FirewallInput): string[] {
  return [
    ...(overlay?.forward ?? []),
    `-m mark --mark ${PUBLISHED_MARK} -j ACCEPT`,
    `-i ${bridgeName} -j ACCEPT`,
    `-o ${bridgeName} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
    // Led there by rules of this host that are not ours: those of a plugin beside ours, which publish a port.
    `-o ${bridgeName} -m conntrack --ctstate DNAT -j ACCEPT`,
    // By way of this host to endpoints of others.
    `-m mark --mark ${SERVICE_MATCH} -j ACCEPT`,
    '-m conntrack --ctstate RELATED,ESTABLISHED -m conntrack --ctstate DNAT -j ACCEPT',
  ]
}

/** Everything of ours in the tables of this host. */
export function firewallRules(input: FirewallInput): DesiredRules {
  const publications = publicationsOf(input.attachments)
  const { clusterBlock, metadata } = input.plan.settings
  const gate = 'CATTLE_METADATA'
  const { policy = new Map<string, ChainRules>() } = input
  return {
    raw: NO_RULES.raw,
    nat: {
      chains: new Map([
        ['CATTLE_PREROUTING', [...metadataRules(metadata), ...publications.flatMap(fromElsewhere)]],
        [
          'CATTLE_OUTPUT',
          [
            ...metadataRules(metadata),
            ...publications.map(port => `${toHostPort(port, '! -d 127.0.0.0/8 ')} ${toContainer(port)}`),
          ],
        ],
        ['CATTLE_NAT_POSTROUTING', masqueradeRules(input)],
        [
          'CATTLE_HOSTPORTS_POSTROUTING',
          [...new Set(publications.map(port => hairpinRule(port, clusterBlock)))],
        ],
      ]),
      userChains: [],
      jumps: JUMPS.nat,
    },
    filter: {
      chains: new Map([
        ['CATTLE_INPUT', [...(input.overlay?.input ?? []), `-d ${metadata.address}/32 -g ${gate}`]],
        [gate, metadataGate(input)],
        ['CATTLE_FORWARD', forwardRules(input)],
        ...policy,
      ]),
      userChains: [USER_CHAIN],
      jumps: forwardJumps(policy),
    },
  }
}
