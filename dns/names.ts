/** Names of this resolver: the zones it owns, and how names of people become labels (RFC 1035, 2.3). */

/** Everything below is answered here and never asked of others. The first is the one that names are told in. */
export const OWNED_DOMAINS = ['discover.internal', 'rancher.internal'] as const

/**
 * The domain of Kubernetes services. Nothing in it has a name yet; nobody else is asked, because nobody else could know.
 */
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
