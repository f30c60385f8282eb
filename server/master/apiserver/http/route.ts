/** Paths of the Kubernetes API, behind a cluster's prefix. */
import type { Catalog, Resource, Subresource } from '../catalog/index.ts'
import { badRequest } from '../status.ts'

/** What somebody asks about the objects of a resource. */
export interface ResourceTarget {
  readonly resource: Resource
  readonly subresource: Subresource | undefined
  /** Empty for all namespaces, and for kinds without. */
  readonly namespace: string
  /** Empty for the collection. */
  readonly name: string
  /** A watch by its old path, `/api/v1/watch/…`, which clients of long ago use; what is at the path is as without it. */
  readonly watched?: boolean
  /** Of `proxy`, what follows it: percent-encoded, without the query; empty, or starts with `/`. */
  readonly proxied?: string
}

export type Route =
  /** Needs no credentials: health and version. */
  | { readonly type: 'public'; readonly name: 'version' }
  /** @property check the one that is asked for; undefined for all together */
  | {
      readonly type: 'public'
      readonly name: 'health'
      readonly endpoint: string
      readonly check: string | undefined
    }
  | { readonly type: 'discovery'; readonly path: readonly string[] }
  | { readonly type: 'metrics' }
  /** Which paths there are. */
  | { readonly type: 'index' }
  | { readonly type: 'openapi'; readonly path: readonly string[] }
  | { readonly type: 'issuer'; readonly document: 'configuration' | 'keys' }
  | { readonly type: 'resource'; readonly target: ResourceTarget }
  | { readonly type: 'unknown' }

export type PublicRoute = Extract<Route, { readonly type: 'public' }>

const UNKNOWN: Route = { type: 'unknown' }
const ISSUER_DOCUMENTS = new Map<string, 'configuration' | 'keys'>([
  ['.well-known/openid-configuration', 'configuration'],
  ['openid/v1/jwks', 'keys'],
])
const PROXIED = /^\/api\/v1\/(?:namespaces\/[^/]+\/[^/]+|nodes)\/[^/]+\/proxy(\/.*)?$/
const HEALTH = new Set(['livez', 'readyz', 'healthz'])

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch (cause) {
    throw badRequest(
      `path segment ${JSON.stringify(segment.slice(0, 80))} is not valid percent-encoding`,
      cause,
    )
  }
}

/** The target inside a group version: `[watch/][namespaces/NS/]RESOURCE[/NAME[/SUBRESOURCE]]`. */
function resourceTarget(
  catalog: Catalog,
  group: string,
  version: string,
  segments: readonly string[],
): ResourceTarget | undefined {
  if (segments[0] !== 'watch') return plainTarget(catalog, group, version, segments)
  const target = plainTarget(catalog, group, version, segments.slice(1))
  return target === undefined || target.subresource !== undefined ? undefined : { ...target, watched: true }
}

function plainTarget(
  catalog: Catalog,
  group: string,
  version: string,
  segments: readonly string[],
): ResourceTarget | undefined {
  const find = (name: string | undefined) => catalog.find(group, version, name ?? '')
  const [first, second, third] = segments
  // `namespaces/NS/pods` means pods; `namespaces/NS/status` means the namespace.
  const scoped = first === 'namespaces' && third !== undefined ? find(third) : undefined
  const namespace = scoped === undefined ? '' : (second ?? '')
  const resource = scoped ?? find(first)
  const [name = '', subresourceName, ...rest] = segments.slice(scoped === undefined ? 1 : 3)
  if (resource === undefined || (rest.length > 0 && subresourceName !== 'proxy')) return undefined
  if (scoped !== undefined && (!resource.namespaced || namespace === '')) return undefined
  // An object of a kind with namespaces has no path without one.
  if (scoped === undefined && resource.namespaced && name !== '') return undefined
  const subresource = subresourceName === undefined ? undefined : resource.subresources.get(subresourceName)
  if (subresourceName !== undefined && (subresource === undefined || name === '')) return undefined
  return { resource, subresource, namespace, name }
}

/**
 * Finds out what a path means.
 *
 * @param path percent-encoded, without query, starting with `/`
 * @throws `BadRequest` for broken percent-encoding
 */
export function findRoute(catalog: Catalog, path: string): Route {
  const segments = path.split('/').slice(1).map(decode)
  if (segments.at(-1) === '') segments.pop()
  const [root = ''] = segments
  if (segments.length === 0) return { type: 'index' }
  if (HEALTH.has(root) && segments.length <= 2) {
    return { type: 'public', name: 'health', endpoint: root, check: segments[1] }
  }
  if (root === 'version') return segments.length === 1 ? { type: 'public', name: 'version' } : UNKNOWN
  if (root === 'metrics') return segments.length === 1 ? { type: 'metrics' } : UNKNOWN
  if (root === 'openapi') return { type: 'openapi', path: segments.slice(1) }
  const issuer = ISSUER_DOCUMENTS.get(segments.join('/'))
  if (issuer !== undefined) return { type: 'issuer', document: issuer }
  if (root !== 'api' && root !== 'apis') return UNKNOWN
  const versionAt = root === 'api' ? 1 : 2
  const inside = segments.slice(versionAt + 1)
  if (inside.length === 0) return { type: 'discovery', path: segments }
  const group = root === 'api' ? '' : (segments[1] ?? '')
  const target = resourceTarget(catalog, group, segments[versionAt] ?? '', inside)
  if (target === undefined) return UNKNOWN
  if (target.subresource?.name !== 'proxy') return { type: 'resource', target }
  const [, proxied = ''] = PROXIED.exec(path) ?? []
  return { type: 'resource', target: { ...target, proxied } }
}
