/**
 * What one client sees: the names of its own environment, with and without their last parts, its links, and nothing of
 * others. Hosts see every environment by full names.
 */
import { METADATA_ADDRESS } from '../protocol/index.ts'
import { AddressSet } from './address-set.ts'
import { CLUSTER_DOMAIN, METADATA_NAME, OWNED_DOMAINS, within } from './names.ts'

/** The names of one environment, relative to it: `web.shop`, `sidekick.web.shop`, `container`. */
export interface Scope {
  /** `empty`: there are only names below this one. */
  find(relativeName: string): AddressSet | 'empty' | undefined
}

/** A container. */
export interface MemberView {
  readonly kind: 'member'
  readonly scope: Scope
  /** The label of its environment. */
  readonly environment: string
  /** The label of its stack. */
  readonly stack: string | undefined
  /** What the links of its service call other services. */
  readonly aliases: ReadonlyMap<string, AddressSet>
}

/** A host: the whole cluster. */
export interface HostView {
  readonly kind: 'host'
  /** An environment by its label. */
  readonly environment: (label: string) => Scope | undefined
}

/** A container of this host that nothing is known of yet. */
export interface StrangerView {
  readonly kind: 'stranger'
}

export type ClientView = MemberView | HostView | StrangerView

export type Resolution =
  | { readonly kind: 'addresses'; readonly addresses: AddressSet; readonly domain: string }
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

function asResolution(found: AddressSet | 'empty' | undefined, domain: string): Resolution {
  if (found === undefined) return { kind: 'unknown', domain }
  return found === 'empty' ? { kind: 'empty', domain } : { kind: 'addresses', addresses: found, domain }
}

/** The domains in which a container looks for a name, in order. */
export function searchDomains({ environment, stack }: Pick<MemberView, 'environment' | 'stack'>): string[] {
  const own = `${environment}.${DOMAIN}`
  return [...(stack === undefined ? [] : [`${stack}.${own}`]), own, ...OWNED_DOMAINS]
}

/** An alias, bare or as the client's resolver completes it. */
function findAlias(name: string, view: MemberView): AddressSet | undefined {
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

/** @param name lower case, without the last dot */
export function resolveName(name: string, view: ClientView): Resolution {
  if (within(name, CLUSTER_DOMAIN) !== undefined) return { kind: 'unknown', domain: CLUSTER_DOMAIN }
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
