/** Maps method and path to a handler. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { kitErrors } from './errors.ts'

/** One request on its way through a handler. */
export interface HttpExchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** As received, still percent-encoded. */
  readonly path: string
  readonly query: URLSearchParams
  /** The decoded values of the pattern's `:names`; `*` holds the undecoded rest. */
  readonly params: Readonly<Record<string, string>>
}

export type HttpHandler = (exchange: HttpExchange) => Promise<void> | void

interface Route {
  readonly method: string
  readonly segments: readonly string[]
  readonly handler: HttpHandler
}

/** What `find` knows about a path. */
export type RouteMatch =
  | { readonly kind: 'found'; readonly handler: HttpHandler; readonly params: Record<string, string> }
  | { readonly kind: 'wrong-method'; readonly allowed: readonly string[] }
  | { readonly kind: 'unknown' }

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch (cause) {
    throw kitErrors.InvalidFormat({
      object: 'path',
      message: `${segment} is not a valid path segment`,
      cause,
    })
  }
}

function matchSegments(
  pattern: readonly string[],
  path: readonly string[],
): Record<string, string> | undefined {
  const params: Record<string, string> = {}
  for (const [index, part] of pattern.entries()) {
    if (part === '*') {
      params['*'] = path.slice(index).join('/')
      return params
    }
    const segment = path[index]
    if (segment === undefined) return undefined
    if (part.startsWith(':')) {
      if (segment === '') return undefined
      params[part.slice(1)] = decodeSegment(segment)
    } else if (part !== segment) return undefined
  }
  return path.length === pattern.length ? params : undefined
}

export class HttpRouter {
  readonly #routes: Route[] = []

  /**
   * Adds a route; of several that match, the first added wins.
   *
   * @param pattern segments between slashes: literal, `:name`, or a final `*` for the rest
   */
  on(method: string, pattern: string, handler: HttpHandler): this {
    this.#routes.push({ method, segments: pattern.split('/').slice(1), handler })
    return this
  }

  /** @throws `InvalidFormat` when a segment is not valid percent-encoding */
  find(method: string, path: string): RouteMatch {
    const segments = path.split('/').slice(1)
    const allowed: string[] = []
    for (const route of this.#routes) {
      const params = matchSegments(route.segments, segments)
      if (params === undefined) continue
      if (route.method === method || (method === 'HEAD' && route.method === 'GET')) {
        return { kind: 'found', handler: route.handler, params }
      }
      allowed.push(route.method)
    }
    return allowed.length > 0 ? { kind: 'wrong-method', allowed } : { kind: 'unknown' }
  }
}
