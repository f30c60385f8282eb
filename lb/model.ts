/**
 * What HAProxy is to do, in our words. A model is never changed, only replaced: the planner compares the old with the new.
 */

/** Which requests a rule is for, by the host that they name. Compared without case and port. */
export interface HostMatch {
  readonly kind: 'exact' | 'prefix' | 'suffix'
  readonly value: string
}

/** Which requests a rule is for, by their path. Compared without case. */
export interface PathMatch {
  readonly kind: 'exact' | 'prefix'
  readonly value: string
}

/** Leads requests to a backend; a rule without matches leads all. */
export interface RoutingRule {
  readonly host?: HostMatch
  readonly path?: PathMatch
  readonly backend: string
}

export interface TlsBind {
  /** Names of certificates; the first is shown to clients that ask for none of them, unless `strictSni`. */
  readonly certificates: readonly string[]
  /** Refuses clients that ask for a name for which there is no certificate. */
  readonly strictSni: boolean
  /** Protocols offered to the client, best first: `h2`, `http/1.1`. */
  readonly alpn?: readonly string[]
}

export interface Bind {
  /** IPv4 or IPv6 address; `*` for all. */
  readonly address: string
  readonly port: number
  readonly tls?: TlsBind
  /** The client is named by a PROXY protocol header, which must be there. */
  readonly acceptProxy?: boolean
}

export interface Frontend {
  readonly name: string
  readonly mode: 'http' | 'tcp'
  /** In mode `tcp`: waits for the client's TLS hello, whose server name takes the host's place in rules. */
  readonly sni?: boolean
  readonly binds: readonly Bind[]
  /** The first that fits decides. */
  readonly rules: readonly RoutingRule[]
  /** In mode `http`: tells servers by X-Forwarded-* that clients came this way, unless somebody before has told them. */
  readonly forwarded?: 'http' | 'https'
  /** Asked after the rules: a map from host to backend, which changes without a reload. */
  readonly hostMap?: string
  readonly defaultBackend?: string
  /** Further directives, as a user wrote them. */
  readonly custom?: readonly string[]
}

/** Something that answers. `id` is the caller's; it stays in its slot as long as the id is there. */
export interface Endpoint {
  readonly id: string
  readonly address: string
  readonly port: number
  /** 0 to 256, relative to its neighbours. 0: only for those who are bound to it. */
  readonly weight: number
  /** Gets no new clients, keeps those it has. */
  readonly draining?: boolean
  /** Whether it counts as up before the first checks say so. Default `up`. */
  readonly initially?: 'up' | 'down'
}

/** Places for endpoints. HAProxy has a server for each, so that an endpoint comes and goes without a reload. */
export type Slots = readonly (Endpoint | undefined)[]

export interface ServerCheck {
  /** Default: the endpoint's own. */
  readonly port?: number
  /** Milliseconds. */
  readonly interval: number
  /** Milliseconds. */
  readonly timeout: number
  readonly rise: number
  readonly fall: number
  /** Absent: it is enough that a connection is accepted. */
  readonly request?: CheckRequest
}

export interface CheckRequest {
  readonly method: string
  readonly uri: string
  readonly version: string
  readonly headers: readonly (readonly [string, string])[]
}

export interface Stickiness {
  readonly cookie: string
  readonly mode: 'rewrite' | 'insert' | 'prefix'
  readonly indirect?: boolean
  readonly nocache?: boolean
  readonly postonly?: boolean
  readonly domain?: string
  /** The cookie's values are made of it and the endpoint's address: the same in every balancer with the same key. */
  readonly key: string
}

export interface Backend {
  readonly name: string
  readonly mode: 'http' | 'tcp'
  readonly balance: 'roundrobin' | 'leastconn' | 'source'
  readonly slots: Slots
  readonly check?: ServerCheck
  /** Tells of every change of a check's result in the log. */
  readonly logChecks?: boolean
  readonly stickiness?: Stickiness
  readonly sendProxy?: 'v1' | 'v2'
  /** HTTP/2 without TLS to the servers, as gRPC wants it. */
  readonly http2?: boolean
  readonly tls?: { readonly alpn?: readonly string[] }
  /** Further servers, whose addresses HAProxy looks up by itself and again from time to time. */
  readonly names?: readonly { readonly host: string; readonly port: number }[]
  /** Further directives, as a user wrote them. */
  readonly custom?: readonly string[]
  /** Parameters for every server, as a user wrote them. */
  readonly serverParameters?: string
}

export interface Certificate {
  readonly name: string
  /** Certificate chain and private key. */
  readonly pem: string
}

export interface RoutingMap {
  readonly name: string
  readonly entries: readonly (readonly [key: string, value: string])[]
}

export interface HaproxyModel {
  readonly frontends: readonly Frontend[]
  readonly backends: readonly Backend[]
  readonly certificates: readonly Certificate[]
  readonly maps: readonly RoutingMap[]
  /** Lines of the sections `global` and `defaults`. */
  readonly global: readonly string[]
  readonly defaults: readonly string[]
  /** Further sections, line by line, as a user wrote them. */
  readonly sections: readonly string[]
  /** Lets lines about requests into the log; which requests are logged, `defaults` says. */
  readonly accessLog?: boolean
}

/** The weight that HAProxy is told. */
export function effectiveWeight({ weight, draining = false }: Endpoint): number {
  return draining ? 0 : weight
}

/** The name of the server that stands for a slot. */
export function serverName(slot: number): string {
  return `s${slot + 1}`
}
