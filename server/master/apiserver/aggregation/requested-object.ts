/** What a request to an API that others serve is about, as far as rights go (Kubernetes "Authorization", request verbs). */
import { badRequest } from '../status.ts'

export interface RequestedObject {
  readonly verb: string
  readonly resource: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
}

const VERBS: Readonly<Record<string, string>> = {
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
}
/** Of paths that are no objects of a namespace. */
const NAMESPACE_PARTS = new Set(['status', 'finalize'])
const NAME_SELECTOR = /(?:^|,)metadata\.name==?([^,]+)/
/** What lasts as long as its client wants. */
const CONNECTING = new Set(['exec', 'attach', 'portforward', 'proxy', 'log'])

/** Whether a request lasts as long as who sent it wants. */
export function isLasting({ verb, subresource }: RequestedObject): boolean {
  return verb === 'watch' || CONNECTING.has(subresource)
}

/**
 * @param path `/apis/GROUP/VERSION/…`, percent-encoded
 * @returns undefined for `/apis/GROUP/VERSION` itself
 * @throws `BadRequest` for broken percent-encoding, and segments that mean different things to different readers
 */
export function requestedObject(
  method: string,
  path: string,
  query: URLSearchParams,
): RequestedObject | undefined {
  let parts = path.split('/').slice(4).map(decode)
  if (parts.at(-1) === '') parts.pop()
  if (parts.length === 0) return undefined
  // Whoever serves it must not read another path in it than this server does.
  if (parts.some(part => part === '' || part === '.' || part === '..' || part.includes('/')))
    throw badRequest('the path has segments that mean nothing')
  const isOldWatch = parts[0] === 'watch'
  if (isOldWatch) parts = parts.slice(1)
  let namespace = ''
  const [first, second = '', third] = parts
  if (first === 'namespaces' && second !== '') {
    namespace = second
    if (third !== undefined && !NAMESPACE_PARTS.has(third)) parts = parts.slice(2)
  }
  const [resource = '', name = '', subresource = ''] = parts
  const named = name === '' ? (NAME_SELECTOR.exec(query.get('fieldSelector') ?? '')?.[1] ?? '') : name
  const verb = verbOf(method, name === '', isOldWatch || isSet(query.get('watch')))
  return { verb, resource, subresource, namespace, name: named }
}

function verbOf(method: string, isCollection: boolean, watches: boolean): string {
  const verb = VERBS[method] ?? ''
  if (verb === 'get' && watches) return 'watch'
  if (!isCollection) return verb
  return verb === 'get' ? 'list' : verb === 'delete' ? 'deletecollection' : verb
}

function isSet(flag: string | null): boolean {
  return flag !== null && !/^(0|f|false)$/i.test(flag)
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch (cause) {
    throw badRequest(`path segment ${JSON.stringify(part.slice(0, 80))} is not valid percent-encoding`, cause)
  }
}
