/** Names of this resolver: the zones it owns, and how names of people become labels (RFC 1035, 2.3). */
import { parseIpv4 } from '../kit/index.ts'

/** Everything below is answered here and never asked of others. The first is the one that names are told in. */
export const OWNED_DOMAINS = ['discover.internal', 'rancher.internal'] as const

/** The domain of Kubernetes services: nobody else is asked, because nobody else could know. */
export const CLUSTER_DOMAIN = 'cluster.local'

/** The name under which every container finds the metadata service. */
export const METADATA_NAME = 'rancher-metadata'

const LONGEST_LABEL = 63

/** A name as one label: lower case letters, digits and hyphens. The name of an environment appears so in DNS. */
export function dnsLabel(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, LONGEST_LABEL)
    .replace(/-+$/, '')
}

/**
 * The part of `name` before `domain`, without the dot between; empty for the domain itself.
 *
 * @returns undefined when the name is not in the domain
 */
export function within(name: string, domain: string): string | undefined {
  if (name === domain) return ''
  const dot = name.length - domain.length - 1
  return dot > 0 && name.endsWith(domain) && name[dot] === '.' ? name.slice(0, dot) : undefined
}

/** `11.0.42.10.in-addr.arpa` as the address it asks for (RFC 1035, 3.5; RFC 3596, 2.5), and the domain that answers. */
export function reversedAddress(name: string): { address: string; domain: string } | undefined {
  const four = within(name, 'in-addr.arpa')?.split('.')
  if (four?.length === 4) {
    const address = four.toReversed().join('.')
    return parseIpv4(address) === undefined ? undefined : { address, domain: 'in-addr.arpa' }
  }
  const six = within(name, 'ip6.arpa')
  if (six === undefined || !/^([0-9a-f]\.){31}[0-9a-f]$/.test(six)) return undefined
  const digits = six.split('.').toReversed().join('')
  const text = digits.match(/.{4}/g)?.join(':') ?? ''
  return { address: canonicalIpv6(text), domain: 'ip6.arpa' }
}

/** An IPv6 address as it is written (RFC 5952). */
function canonicalIpv6(text: string): string {
  return new URL(`http://[${text}]`).hostname.slice(1, -1)
}

/** Whether a text can be a name on the wire: labels of 1 to 63 letters, digits, hyphens and underscores. */
export function isHostName(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?$/i.test(text)
}
