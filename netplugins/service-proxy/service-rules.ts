/**
 * What one service asks of a host: where its clients are led. Pure. Endpoints are chosen as kube-proxy chooses them
 * (Kubernetes, "Virtual IPs and Service Proxies"): those that are ready, or else those that are about to end and still
 * answer.
 */
import { isIPv4 } from 'node:net'
import { ipv4BlockContains, parseIpv4, requireIpv4Block } from '../../kit/index.ts'
import {
  type Chain,
  DISCARD,
  edgeChain,
  type FrontKind,
  guardChain,
  hiddenChain,
  MOST_ENDPOINTS,
  REFUSE,
  spreadChain,
  stickyChain,
  type Target,
} from './chains.ts'
import type { ProxyHost, ProxyService, ProxySlice, ServiceProtocol } from './service-model.ts'

/** One address and port under which a service is reached. */
export interface Front {
  readonly kind: FrontKind
  /** `10.43.0.9 . tcp . 80`, or `tcp . 30080` on this host. */
  readonly key: string
  readonly chain: Chain
  /** Where packets go, by the numbers that the chain draws: all endpoints, and those of this host alone. */
  readonly targets: readonly Target[]
  readonly localTargets: readonly Target[]
}

/** What was asked by UDP, and where the answers may come from now. */
export interface UdpPort {
  /** Undefined for every address of this host. */
  readonly address: string | undefined
  readonly port: number
  /** `10.42.0.7:53` */
  readonly endpoints: ReadonlySet<string>
}

export interface ServiceRules {
  readonly fronts: readonly Front[]
  /** Addresses of its endpoints on this host. */
  readonly hairpins: readonly string[]
  readonly udp: readonly UdpPort[]
}

interface Endpoint {
  readonly address: string
  readonly target: Target
  readonly isLocal: boolean
  readonly ready: boolean
  readonly draining: boolean
  readonly zones: readonly string[] | undefined
}

type ServicePort = ProxyService['ports'][number]

function endpointsOf(port: ServicePort, slices: readonly ProxySlice[], { node }: ProxyHost): Endpoint[] {
  const found = new Map<Target, Endpoint>()
  for (const slice of slices) {
    const own = slice.ports.find(({ name, protocol }) => name === port.name && protocol === port.protocol)
    if (own === undefined) continue
    for (const { addresses, node: where, ready, draining = false, zones } of slice.endpoints) {
      // Further addresses are other names of the same endpoint.
      const address = addresses.find(isOfNetwork)
      if (address === undefined) continue
      const target = `${address} . ${own.port}`
      const isLocal = where === node
      found.set(target, { address, target, isLocal, ready, draining, zones })
    }
  }
  // In one order, so that the same endpoints are the same rules.
  return [...found.values()].toSorted((a, b) => (a.target < b.target ? -1 : 1))
}

function usable(endpoints: readonly Endpoint[]): Target[] {
  const ready = endpoints.filter(endpoint => endpoint.ready)
  const chosen = ready.length > 0 ? ready : endpoints.filter(({ draining }) => draining)
  return chosen.slice(0, MOST_ENDPOINTS).map(({ target }) => target)
}

/**
 * Those of the host's zone, if they are to be preferred: all that are ready name zones, and one of them this one. Otherwise
 * the hints are of another time than the endpoints (Kubernetes, "Topology Aware Routing", safeguards).
 */
function inZone(endpoints: readonly Endpoint[], zone: string | undefined): readonly Endpoint[] {
  const ready = endpoints.filter(endpoint => endpoint.ready)
  if (zone === undefined || ready.some(({ zones }) => zones === undefined)) return endpoints
  const near = ready.filter(({ zones }) => zones?.includes(zone) === true)
  return near.length > 0 ? near : endpoints
}

/** The endpoints of one port, as they are chosen. */
interface Choice {
  readonly service: ProxyService
  readonly port: ServicePort
  readonly targets: readonly Target[]
  readonly localTargets: readonly Target[]
}

function leading({ service, port, ...choice }: Choice, kind: FrontKind, local: boolean): Chain {
  const targets = local ? choice.localTargets : choice.targets
  if (targets.length === 0) return local && choice.targets.length > 0 ? DISCARD : REFUSE
  if (service.affinity === undefined) return spreadChain(kind, targets.length, local)
  const { namespace, name } = service
  const what = `${namespace}/${name} ${port.name} ${local ? 'local' : 'cluster'}`
  return stickyChain(what, port.protocol, service.affinity, targets)
}

function outsideChain(choice: Choice, kind: FrontKind, { podBlock }: ProxyHost): Chain {
  const everywhere = leading(choice, kind, false)
  if (everywhere === REFUSE) return REFUSE
  if (choice.service.outsideLocal !== true) return hiddenChain(everywhere, podBlock)
  return edgeChain(everywhere, leading(choice, kind, true), podBlock)
}

/** Which lists of endpoints a chain draws numbers of; those that stay with their clients draw none. */
function frontOf(
  choice: Choice,
  kind: FrontKind,
  key: string,
  chain: Chain,
  uses: { all: boolean; local: boolean },
): Front {
  const drawn = choice.service.affinity === undefined && chain !== REFUSE && chain !== DISCARD
  return {
    kind,
    key,
    chain,
    targets: drawn && uses.all ? choice.targets : [],
    localTargets: drawn && uses.local ? choice.localTargets : [],
  }
}

function udpPort(
  protocol: ServiceProtocol,
  address: string | undefined,
  port: number,
  targets: readonly Target[],
): UdpPort[] {
  if (protocol !== 'udp') return []
  return [{ address, port, endpoints: new Set(targets.map(target => target.replace(' . ', ':'))) }]
}

/** Of this host alone: its loopback, and the addresses at which containers ask for metadata and names. */
const OWN_BLOCKS = ['127.0.0.0/8', '169.254.0.0/16'].map(block => requireIpv4Block(block, 'own addresses'))

/** Whether an address is more than one host's: a service must not take what containers ask their host for. */
function isOfNetwork(address: string): boolean {
  const value = parseIpv4(address)
  return value !== undefined && !OWN_BLOCKS.some(block => ipv4BlockContains(block, value))
}

function isServed({ addresses }: ProxyService): boolean {
  return addresses.some(isIPv4)
}

/** A block of addresses in the words of nft; undefined for one that is none of IPv4. */
function blockOf(range: string): string | undefined {
  const [address = '', length = '32'] = range.split('/')
  return isIPv4(address) && /^\d{1,2}$/.test(length) && Number(length) <= 32
    ? `${address}/${length}`
    : undefined
}

/** How many endpoints of a service this host has that are ready, for those who send clients here. */
export function readyOnHost(slices: readonly ProxySlice[], { node }: Pick<ProxyHost, 'node'>): number {
  const addresses = slices.flatMap(({ endpoints }) =>
    endpoints.flatMap(({ ready, node: where, addresses: [address] }) =>
      ready && where === node && address !== undefined ? [address] : [],
    ),
  )
  return new Set(addresses).size
}

/** @param slices all that belong to the service */
export function rulesOfService(
  service: ProxyService,
  slices: readonly ProxySlice[],
  host: ProxyHost,
): ServiceRules {
  const fronts: Front[] = []
  const udp: UdpPort[] = []
  const hairpins = new Set<string>()
  // Without a cluster address, a name leads to the endpoints themselves.
  if (!isServed(service)) return { fronts, udp, hairpins: [] }
  const { insideLocal = false, outsideLocal = false } = service
  const outside = { all: true, local: outsideLocal }
  const { externalAddresses = [], guardedAddresses = [], sourceRanges = [] } = service
  const blocks = sourceRanges.flatMap(range => blockOf(range) ?? [])
  for (const port of service.ports) {
    const endpoints = endpointsOf(port, slices, host)
    const localEndpoints = endpoints.filter(({ isLocal }) => isLocal)
    const localTargets = usable(localEndpoints)
    const isNear = service.prefersOwnHost === true && localEndpoints.some(({ ready }) => ready)
    const targets = isNear ? localTargets : usable(inZone(endpoints, host.zone))
    const choice: Choice = { service, port, targets, localTargets }
    for (const { address } of localEndpoints) hairpins.add(address)
    const { protocol } = port
    for (const address of service.addresses.filter(isIPv4)) {
      const chain = leading(choice, 'addresses', insideLocal)
      const key = `${address} . ${protocol} . ${port.port}`
      fronts.push(frontOf(choice, 'addresses', key, chain, { all: !insideLocal, local: insideLocal }))
      udp.push(...udpPort(protocol, address, port.port, insideLocal ? localTargets : targets))
    }
    for (const address of externalAddresses.filter(isOfNetwork)) {
      const key = `${address} . ${protocol} . ${port.port}`
      fronts.push(frontOf(choice, 'addresses', key, outsideChain(choice, 'addresses', host), outside))
      udp.push(...udpPort(protocol, address, port.port, targets))
    }
    for (const address of guardedAddresses.filter(
      each => isOfNetwork(each) && !externalAddresses.includes(each),
    )) {
      const key = `${address} . ${protocol} . ${port.port}`
      const chain = outsideChain(choice, 'addresses', host)
      fronts.push({ ...frontOf(choice, 'addresses', key, chain, outside), chain: guardChain(chain, blocks) })
      udp.push(...udpPort(protocol, address, port.port, targets))
    }
    if (port.nodePort !== undefined) {
      const key = `${protocol} . ${port.nodePort}`
      fronts.push(frontOf(choice, 'ports', key, outsideChain(choice, 'ports', host), outside))
      udp.push(...udpPort(protocol, undefined, port.nodePort, targets))
    }
  }
  return { fronts, udp, hairpins: [...hairpins] }
}
