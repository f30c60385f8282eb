/** What metrics call a request. */
import type { IncomingMessage } from 'node:http'
import type { RequestLabels } from '../metrics/index.ts'
import { isApply } from './body.ts'
import type { ResourceTarget, Route } from './route.ts'

/** Subresources that last as long as their client wants, whatever the method. */
const CONNECTING: ReadonlySet<string> = new Set(['exec', 'attach', 'portforward', 'proxy', 'log'])
/** Other methods are one: whoever invents some must not fill memory. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

function verbOf(
  request: IncomingMessage,
  target: ResourceTarget | undefined,
  query: URLSearchParams,
): string {
  const { method = '' } = request
  if (!METHODS.has(method)) return 'other'
  if (target === undefined) return method
  if (CONNECTING.has(target.subresource?.name ?? '')) return 'CONNECT'
  if (target.watched === true) return 'WATCH'
  const isCollection = target.name === ''
  if (method === 'GET' && isCollection) {
    return /^(1|t|true)$/i.test(query.get('watch') ?? '') ? 'WATCH' : 'LIST'
  }
  if (method === 'DELETE' && isCollection) return 'DELETECOLLECTION'
  return method === 'PATCH' && isApply(request) ? 'APPLY' : method
}

export function labelsOf(request: IncomingMessage, route: Route, query: URLSearchParams): RequestLabels {
  const target = route.type === 'resource' ? route.target : undefined
  const verb = verbOf(request, target, query)
  if (target === undefined) {
    const none = { group: '', version: '', kind: '', resource: '', subresource: '' }
    return { verb, ...none, scope: '', dryRun: false }
  }
  const { resource, subresource, name, namespace } = target
  return {
    verb,
    group: resource.group,
    version: resource.version,
    kind: resource.kind,
    resource: resource.resource,
    subresource: subresource?.name ?? '',
    scope: name !== '' ? 'resource' : namespace !== '' ? 'namespace' : 'cluster',
    dryRun: query.has('dryRun'),
  }
}
