/**
 * What one client sees: the names of its own environment, with and without their last parts, its links, and nothing of
 * others. Hosts see every environment by full names.
 */
import { METADATA_ADDRESS } from '../protocol/index.ts'
import { AddressSet, CanonicalName, type PortRecord } from './address-set.ts'
import { CLUSTER_DOMAIN, METADATA_NAME, OWNED_DOMAINS, reversedAddress, within } from './names.ts'

/** What a name leads to. `empty`: there are only names below it. */
export type Found = AddressSet | CanonicalName | 'empty'

/** The names of one environment, relative to it: `web.shop`, `sidekick.web.shop`, `container`. */
export interface Scope {
  find(relativeName: string): Found | undefined
}

/** What clients of every kind but strangers have in common. */
interface KnownView {
  /** Full names of what has an address; undefined for addresses that are none of ours. */
  readonly reverse: (address: string) => readonly string[] | undefined
  /** The names of Kubernetes, relative to its domain; undefined where there are none. */
  readonly kubernetes: Scope | undefined
}

/** A container. */
export interface MemberView extends KnownView {
  readonly kind: 'member'
  readonly scope: Scope
  /** The label of its environment. */
  readonly environment: string
  /** The label of its stack. */
  readonly stack: string | undefined
  /** What the links of its service call other services. */
  readonly aliases: ReadonlyMap<string, Found>
}

/** A host: the whole cluster. */
export interface HostView extends KnownView {
  readonly kind: 'host'
  /** An environment by its label. */
  readonly environment: (label: string) => Scope | undefined
}

/** A container of this host that nothing is known of: not yet, or never, where others run it. */
export interface StrangerView {
  readonly kind: 'stranger'
  /** Those are the same for everybody. */
  readonly kubernetes: KnownView['kubernetes']
}

export type ClientView = MemberView | HostView | StrangerView

export type Resolution =
  | { readonly kind: 'addresses'; readonly addresses: AddressSet; readonly domain: string }
  /** The name stands for another one. */
  | { readonly kind: 'alias'; readonly target: string; readonly domain: string }
  /** `_8080._tcp` of a name. */
  | { readonly kind: 'ports'; readonly ports: () => readonly PortRecord[]; readonly domain: string }
  /** Names of an address. */
  | { readonly kind: 'names'; readonly names: readonly string[]; readonly domain: string }
  /** There is such a name, and it has nothing. */
  | { readonly kind: 'empty'; readonly domain: string }
  /** There is no such name, and we would know. */
  | { readonly kind: 'unknown'; readonly domain: string }
  /** Nobody can say before more is known of the client. */
  | { readonly kind: 'undecided' }
  /** The name is none of ours. */
  | { readonly kind: 'foreign' }

const DOMAIN = OWNED_DOMAINS[0]
const metadataAddress = new AddressSet(() => [{ address: METADATA_ADDRESS, healthy: true }])

/** A name inside one of our domains. */
interface OwnedName {
  readonly domain: (typeof OWNED_DOMAINS)[number]
  /** What is before the domain. */
  readonly rest: string
}

function ownedName(name: string): OwnedName | undefined {
  for (const domain of OWNED_DOMAINS) {
    const rest = within(name, domain)
    if (rest !== undefined) return { domain, rest }
  }
  return undefined
}

function asResolution(found: Found | undefined, domain: string): Resolution {
  if (found === undefined) return { kind: 'unknown', domain }
  if (found instanceof CanonicalName) return { kind: 'alias', target: found.target, domain }
  return found === 'empty' ? { kind: 'empty', domain } : { kind: 'addresses', addresses: found, domain }
}

/** The domains in which a container looks for a name, in order. */
export function searchDomains({ environment, stack }: Pick<MemberView, 'environment' | 'stack'>): string[] {
  const own = `${environment}.${DOMAIN}`
  return [...(stack === undefined ? [] : [`${stack}.${own}`]), own, ...OWNED_DOMAINS]
}

/** An alias, bare or as the client's resolver completes it. */
function findAlias(name: string, view: MemberView): Found | undefined {
  if (view.aliases.size === 0) return undefined
  const bare = view.aliases.get(name)
  if (bare !== undefined) return bare
  for (const domain of searchDomains(view)) {
    const alias = view.aliases.get(within(name, domain) ?? '')
    if (alias !== undefined) return alias
  }
  return undefined
}

function resolveOwned({ domain, rest }: OwnedName, view: MemberView | HostView): Resolution {
  if (view.kind === 'host') {
    // Without an environment a name means something else to everybody.
    if (domain !== DOMAIN) return { kind: 'unknown', domain }
    const dot = rest.lastIndexOf('.')
    const scope = view.environment(rest.slice(dot + 1))
    return asResolution(scope && (dot < 0 ? 'empty' : scope.find(rest.slice(0, dot))), domain)
  }
  const relative = domain === DOMAIN ? within(rest, view.environment) : rest
  if (relative === undefined) return { kind: 'unknown', domain }
  return asResolution(relative === '' ? 'empty' : view.scope.find(relative), domain)
}

/** A name that the client did not complete: what it means in its stack, in its environment, or in full. */
function resolveBare(name: string, { scope, stack, environment }: MemberView): Resolution {
  const relative = [stack && `${name}.${stack}`, name, within(name, environment)]
  for (const candidate of relative) {
    const found = candidate === undefined || candidate === '' ? undefined : scope.find(candidate)
    if (found !== undefined && found !== 'empty') return asResolution(found, DOMAIN)
  }
  return { kind: 'foreign' }
}

/** `_8080._tcp.web.shop` (RFC 2782): the port and the protocol of a service. */
const PORT_NAME = /^_([a-z0-9-]{1,63})\._(tcp|udp)\.(.+)$/

function resolvePorts([, port, protocol, rest = '']: RegExpExecArray, view: ClientView): Resolution {
  const service = resolveName(rest, view)
  if (service.kind !== 'addresses') {
    return service.kind === 'alias' ? { kind: 'unknown', domain: service.domain } : service
  }
  const { addresses, domain } = service
  const ports = () => addresses.ports().filter(record => record.name === port && record.protocol === protocol)
  return ports().length === 0 ? { kind: 'unknown', domain } : { kind: 'ports', ports, domain }
}

/** Whose an address is; what nobody here knows may be known to others. */
function resolveReverse(address: string, view: ClientView, domain: string): Resolution {
  if (view.kind === 'stranger') return { kind: 'foreign' }
  const names = view.reverse(address)
  if (names === undefined) return { kind: 'foreign' }
  return names.length === 0 ? { kind: 'unknown', domain } : { kind: 'names', names, domain }
}

function resolveKubernetes(rest: string, view: ClientView): Resolution {
  const domain = CLUSTER_DOMAIN
  if (rest === '') return { kind: 'empty', domain }
  if (view.kubernetes === undefined) return { kind: 'unknown', domain }
  return asResolution(view.kubernetes.find(rest), domain)
}

/** @param name lower case, without the last dot */
export function resolveName(name: string, view: ClientView): Resolution {
  const reversed = reversedAddress(name)
  if (reversed !== undefined) return resolveReverse(reversed.address, view, reversed.domain)
  const port = PORT_NAME.exec(name)
  if (port !== null) return resolvePorts(port, view)
  const kubernetes = within(name, CLUSTER_DOMAIN)
  if (kubernetes !== undefined) return resolveKubernetes(kubernetes, view)
  const owned = ownedName(name)
  if (owned?.rest === '') return { kind: 'empty', domain: owned.domain }
  if ((owned?.rest ?? name) === METADATA_NAME) {
    return asResolution(metadataAddress, owned?.domain ?? DOMAIN)
  }
  if (view.kind === 'stranger') {
    return owned !== undefined || !name.includes('.') ? { kind: 'undecided' } : { kind: 'foreign' }
  }
  if (view.kind === 'member') {
    const alias = findAlias(name, view)
    if (alias !== undefined) return asResolution(alias, owned?.domain ?? DOMAIN)
    if (owned === undefined) return resolveBare(name, view)
  }
  return owned === undefined ? { kind: 'foreign' } : resolveOwned(owned, view)
}
