/** A request about the objects of a resource, and what operations get of it. */
import type { IncomingMessage } from 'node:http'
import { type Attributes, type Identity, nodeNameOf } from '../access/index.ts'
import { apiVersionOf } from '../catalog/index.ts'
import type { Cluster } from '../cluster/index.ts'
import type { Part, Tracking, WriteContext } from '../operations/index.ts'
import type { Identify } from '../reviews/index.ts'
import type { Answer } from './answer.ts'
import { fieldManager, writeOptions } from './query.ts'
import type { ResourceTarget } from './route.ts'

export interface AskedResource {
  readonly answer: Answer
  readonly cluster: Cluster
  readonly identity: Identity
  /** Who a token belongs to in this cluster. */
  readonly identify: Identify
  readonly target: ResourceTarget
  readonly query: URLSearchParams
}

export interface ResourceRequest extends AskedResource {
  /**
   * Notes that the request lasts: it is ended when who sent it has not what it takes any more.
   *
   * @param attributes what it takes
   * @param end ends it in good order; where that takes too long, or is absent, its connection is cut
   */
  readonly lasts: (attributes: Attributes, end?: () => void) => void
}

/** What an operation has to know of a request that writes. @throws `BadRequest` for parameters that make no sense */
export function contextOf({ answer, cluster, identity, target, query }: ResourceRequest): WriteContext {
  return {
    cluster,
    resource: target.resource,
    identity,
    ...writeOptions(query),
    tracking: trackingOf(answer.request, target, identity, query),
    warn: text => answer.warn(text),
  }
}

/** Hosts only tell how things are, many times a second: nobody else wants what they write. */
function trackingOf(
  { headers }: IncomingMessage,
  target: ResourceTarget,
  identity: Identity,
  query: URLSearchParams,
): Tracking | undefined {
  if (nodeNameOf(identity) !== undefined) return undefined
  const agent = (headers['user-agent'] ?? '').split('/')[0] ?? ''
  const named = fieldManager(query)
  return {
    type: 'update',
    manager: {
      name: named === '' ? agent.replaceAll(/[^ -~]/g, '').slice(0, 128) || 'unknown' : named,
      operation: 'Update',
      apiVersion: apiVersionOf(target.resource),
      subresource: target.subresource?.name ?? '',
    },
  }
}

/** Subresources that are parts of the object itself. */
export const PARTS: ReadonlySet<string> = new Set<Part>([
  'status',
  'finalize',
  'approval',
  'ephemeralcontainers',
  'resize',
])

/** The part of the object that a request is about; empty for the object itself. */
export function partOf({ subresource }: ResourceTarget): Part {
  return subresource !== undefined && PARTS.has(subresource.name) ? (subresource.name as Part) : ''
}
