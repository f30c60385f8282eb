/**
 * Which cluster's Kubernetes API a request is for: by its path, by the server name that it came for, or by the service
 * account whose token it brings.
 */
import type { IncomingMessage } from 'node:http'

export interface ClusterTarget {
  readonly clusterId: string
  /** Percent-encoded, without the query; starts with `/`. */
  readonly path: string
}

const PREFIX = /^\/k8s\/clusters\/([A-Za-z0-9-]{1,63})(\/.*)?$/
/** `ID.k8s.NAME`, so that a cluster's API is at the root: kubectl drops a prefix of the path in some commands. */
const SERVER_NAME = /^([a-z0-9-]{1,63})\.k8s\../
/** Where the API of a cluster is for its own pods, whichever cluster that is. */
const INSIDE = /^kubernetes\.default(\.svc(\.[a-z0-9.-]+)?)?$/
const ROOTS = /^\/(apis?|openapi|openid|version|livez|readyz|healthz|metrics|\.well-known)(\/|$)/
const ISSUER = /\/k8s\/clusters\/([A-Za-z0-9-]{1,63})$/
const LONGEST_TOKEN = 16 * 1024

function nameOf(host: string | undefined): string {
  return (host ?? '').replace(/:\d+$/, '').toLowerCase()
}

/** The cluster that a token says it is from; whether that is true is for the cluster to find out. */
function issuingCluster(authorization: string | undefined): string | undefined {
  const [, token = ''] = /^Bearer +(\S+)$/i.exec(authorization ?? '') ?? []
  const [, claims, signature] = token.split('.')
  if (claims === undefined || signature === undefined || token.length > LONGEST_TOKEN) return undefined
  try {
    const { iss } = JSON.parse(Buffer.from(claims, 'base64url').toString('utf8')) as { iss?: unknown }
    return typeof iss === 'string' ? ISSUER.exec(iss)?.[1] : undefined
  } catch {
    // Not a token of a service account: it says nothing about a cluster.
    return undefined
  }
}

/**
 * The cluster that a request is for; undefined when it is for none.
 *
 * @param path percent-encoded, without the query
 */
export function clusterTarget(path: string, { headers }: IncomingMessage): ClusterTarget | undefined {
  const [, prefixed, rest = '/'] = PREFIX.exec(path) ?? []
  if (prefixed !== undefined) return { clusterId: prefixed, path: rest }
  const name = nameOf(headers.host)
  const [, named] = SERVER_NAME.exec(name) ?? []
  if (named !== undefined) return { clusterId: named, path }
  if (!ROOTS.test(path)) return undefined
  const issuing = issuingCluster(headers.authorization)
  if (issuing !== undefined) return { clusterId: issuing, path }
  // Pods ask for the version without a token; nobody is told of a cluster by that.
  return INSIDE.test(name) ? { clusterId: '', path } : undefined
}
