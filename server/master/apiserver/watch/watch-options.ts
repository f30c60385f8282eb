/** Where a watch begins, from its parameters (Kubernetes "Efficient detection of changes", "Streaming lists"). */

import type { Resource } from '../catalog/index.ts'
import { type Cluster, INDEXED_FIELDS, type Interest } from '../cluster/index.ts'
import { parseRevision } from '../operations/index.ts'
import type { Selection } from '../selection/index.ts'
import { StatusError, tooLargeResourceVersion } from '../status.ts'
import type { WatchStart } from './watch-stream.ts'

export interface WatchOptions {
  readonly resourceVersion: string
  readonly resourceVersionMatch: string
  readonly allowBookmarks: boolean
  /** Undefined when the client says nothing. */
  readonly sendInitialEvents: boolean | undefined
  /** Undefined when the client says nothing. */
  readonly timeoutSeconds: number | undefined
}

function refuse(field: string, why: string): StatusError {
  return new StatusError('Invalid', `ListOptions.meta.k8s.io "" is invalid: ${field}: Forbidden: ${why}`, {
    group: 'meta.k8s.io',
    kind: 'ListOptions',
    causes: [{ reason: 'FieldValueForbidden', message: `Forbidden: ${why}`, field }],
  })
}

/** @throws `BadRequest`, `Invalid` for parameters that do not go together */
function checkOptions({
  resourceVersionMatch: match,
  sendInitialEvents,
  allowBookmarks,
}: WatchOptions): void {
  if (sendInitialEvents === undefined) {
    if (match !== '') {
      throw refuse(
        'resourceVersionMatch',
        'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
      )
    }
    return
  }
  if (match !== 'NotOlderThan') {
    throw refuse(
      'resourceVersionMatch',
      'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan',
    )
  }
  if (sendInitialEvents && !allowBookmarks) {
    throw refuse('sendInitialEvents', 'sendInitialEvents requires allowWatchBookmarks')
  }
}

/**
 * What a watch tells first, and from where it goes on.
 *
 * @throws `BadRequest`, `Invalid`
 */
export function startOf(
  cluster: Cluster,
  resource: Resource,
  namespace: string | undefined,
  selection: Selection,
  options: WatchOptions,
): WatchStart {
  checkOptions(options)
  const { sendInitialEvents } = options
  const asked = parseRevision(options.resourceVersion) ?? 0
  const wantsState = sendInitialEvents ?? asked === 0
  if (!wantsState) {
    return { initial: undefined, after: asked === 0 ? cluster.space.revision : asked, markInitialEnd: false }
  }
  const { revision, objects } = cluster.space.list(resource.kept.storeKind, namespace)
  if (asked > revision) throw tooLargeResourceVersion(asked, revision)
  return {
    initial: selection.everything
      ? objects
      : objects.filter(stored => selection.matches(stored, object => cluster.read(object))),
    after: revision,
    markInitialEnd: sendInitialEvents === true,
  }
}

/** The narrowest thing that the objects of a watch have in common. */
export function interestOf(
  resource: Resource,
  namespace: string | undefined,
  selection: Selection,
): Interest {
  const name = selection.requiredValue('metadata.name')
  if (name !== undefined && namespace !== undefined) return { type: 'name', namespace, name }
  const field = INDEXED_FIELDS.get(resource.kept.storeKind)
  const value = field === undefined ? undefined : selection.requiredValue(field)
  if (value !== undefined) return { type: 'field', value }
  return namespace === undefined || !resource.namespaced ? { type: 'all' } : { type: 'namespace', namespace }
}
