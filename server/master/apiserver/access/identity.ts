/** Who asks. */

export interface Identity {
  readonly user: string
  readonly uid?: string
  readonly groups: readonly string[]
  /** What is known besides; nothing here gives rights. */
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

/** What a connection or request brought to prove it. */
export interface Credentials {
  readonly bearerToken?: string
  /** A client certificate whose chain the TLS listener has verified, in DER. */
  readonly clientCertificate?: Uint8Array
  /** A client certificate, in DER, whose holder has proved to have its key; nobody has looked at who signed it. */
  readonly presentedCertificate?: Uint8Array
}

/**
 * Says who somebody is for one cluster; undefined when the credentials are nobody's there.
 *
 * It is asked before anything says whether the cluster exists, so that a stranger cannot find out.
 */
export type Authenticate = (cluster: string, credentials: Credentials) => Promise<Identity | undefined>

/** How browsers, whose websockets have no headers, bring a token: it follows, in base64url (Kubernetes "WebSocket authentication"). */
export const TOKEN_PROTOCOL = 'base64url.bearer.authorization.k8s.io.'

/** May do everything. */
export const MASTERS_GROUP = 'system:masters'
/** Agents of hosts: their user is `system:node:NAME`. */
export const NODES_GROUP = 'system:nodes'
const NODE_USER_PREFIX = 'system:node:'

/** The node that an identity speaks for. */
export function nodeNameOf({ user, groups }: Identity): string | undefined {
  if (!groups.includes(NODES_GROUP) || !user.startsWith(NODE_USER_PREFIX)) return undefined
  const name = user.slice(NODE_USER_PREFIX.length)
  return name === '' ? undefined : name
}

/** Everybody whose credentials were good. */
export const AUTHENTICATED_GROUP = 'system:authenticated'
const SERVICE_ACCOUNT_USER = /^system:serviceaccount:([a-z0-9.-]{1,63}):([a-z0-9.-]{1,253})$/

export interface ServiceAccountName {
  readonly namespace: string
  readonly name: string
}

/** The service account that a user name means. */
export function serviceAccountOf(user: string): ServiceAccountName | undefined {
  const [, namespace, name] = SERVICE_ACCOUNT_USER.exec(user) ?? []
  return namespace === undefined || name === undefined ? undefined : { namespace, name }
}

/** The user name of a service account. */
export function serviceAccountUser({ namespace, name }: ServiceAccountName): string {
  return `system:serviceaccount:${namespace}:${name}`
}

export function serviceAccountGroups({ namespace }: ServiceAccountName): readonly string[] {
  return ['system:serviceaccounts', `system:serviceaccounts:${namespace}`]
}
