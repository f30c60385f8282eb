/** What metrics call a request. */
import type { IncomingMessage } from 'node:http'
import { isLasting, type RemoteApi, type RequestedObject, requestedObject } from '../aggregation/index.ts'
import type { RequestLabels } from '../metrics/index.ts'
import { isApply } from './body.ts'
import type { ResourceTarget, Route } from './route.ts'

/** Subresources that last as long as their client wants, whatever the method. */
const CONNECTING: ReadonlySet<string> = new Set(['exec', 'attach', 'portforward', 'proxy', 'log'])
/** Of verbs that no method says. */
const OTHER_VERBS: Readonly<Record<string, string>> = {
  list: 'LIST',
  watch: 'WATCH',
  deletecollection: 'DELETECOLLECTION',
}
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

/**
 * Of a request to an API that another serves. Its resources are not told: whoever asks for some that are not there must not fill
 * memory.
 */
function labelsOfOther(
  { method = '' }: IncomingMessage,
  { group, version }: RemoteApi,
  asked: RequestedObject | undefined,
  query: URLSearchParams,
): RequestLabels {
  const verb = !METHODS.has(method)
    ? 'other'
    : asked === undefined
      ? method
      : isLasting(asked) && asked.verb !== 'watch'
        ? 'CONNECT'
        : (OTHER_VERBS[asked.verb] ?? method)
  const scope =
    asked === undefined
      ? ''
      : asked.name !== ''
        ? 'resource'
        : asked.namespace !== ''
          ? 'namespace'
          : 'cluster'
  const none = { kind: '', resource: '', subresource: '' }
  return { verb, group, version, ...none, scope, dryRun: query.has('dryRun') }
}

export interface LabelledRequest {
  readonly request: IncomingMessage
  readonly route: Route
  readonly query: URLSearchParams
  /** Percent-encoded, without the query. */
  readonly path: string
  /** Who else serves it. */
  readonly remote: RemoteApi | undefined
}

/** @throws `BadRequest` for a path that nobody serves */
export function labelsOf({ request, route, query, path, remote }: LabelledRequest): RequestLabels {
  if (remote !== undefined)
    return labelsOfOther(request, remote, requestedObject(request.method ?? '', path, query), query)
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
