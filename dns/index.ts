export { AddressSet, CanonicalName, type Endpoint, type PortRecord } from './address-set.ts'
export type { ClientDirectory } from './client-directory.ts'
export {
  type ClientView,
  type Found,
  type HostView,
  type MemberView,
  type Scope,
  searchDomains,
} from './client-view.ts'
export { DnsServer, type DnsServerOptions } from './dns-server.ts'
export { dnsErrors } from './errors.ts'
export { Forwarder, type ForwarderOptions } from './forwarder.ts'
export { CLUSTER_DOMAIN, dnsLabel, isHostName, METADATA_NAME, OWNED_DOMAINS } from './names.ts'
export type { QueryCounts } from './query-counts.ts'
export { type Upstream, upstreamsOf } from './upstream.ts'
