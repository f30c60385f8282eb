/** What of a host's network is looked at and repaired on its own. */

/** What of the host is reconciled on its own, in this order. */
export const ASPECTS = [
  'ipv6',
  'uplink',
  'links',
  'overlay',
  'firewall',
  'firewall6',
  'guard',
  'flows',
  'ports',
  'driver',
] as const

/** `peers`: other hosts came or went, `policy`: who may talk to whom; all the rest is believed to be as it was. */
export type Aspect = (typeof ASPECTS)[number] | 'peers' | 'policy'

/** Where something may be found that is not as it should be; services are led by a part of their own. */
export type ProblemSource = Aspect | 'services'

/** What the server is told of after every look. */
export const REPORTED: ReadonlySet<Aspect> = new Set([
  'ipv6',
  'uplink',
  'links',
  'overlay',
  'firewall6',
  'peers',
  'policy',
])

/** What may be wrong while containers are served: they reach each other, but not those of every other host. */
const BETWEEN_HOSTS: ReadonlySet<Aspect> = new Set(['uplink', 'overlay', 'peers'])

/** What does not keep containers from being served when it is wrong; it is reported. */
export const TOLERATED: ReadonlySet<ProblemSource> = new Set([
  ...BETWEEN_HOSTS,
  ...(['guard', 'flows', 'policy', 'services', 'ipv6', 'firewall6'] as const),
])
