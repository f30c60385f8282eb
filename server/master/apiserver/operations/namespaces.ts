/** The life cycle of namespaces, as it concerns what is in them (Kubernetes' NamespaceLifecycle admission). */
import { storeKey } from '../cluster/index.ts'
import { forbidden, notFound } from '../status.ts'
import type { WriteContext } from './context.ts'

/** Namespaces that every cluster has for good. */
const IMMORTAL = new Set(['default', 'kube-system', 'kube-public'])

/** @throws `Forbidden` */
export function requireMortal({ resource }: WriteContext, name: string): void {
  if (resource.kept.storeKind === 'namespaces' && IMMORTAL.has(name)) {
    throw forbidden(resource, name, 'this namespace may not be deleted')
  }
}

/**
 * Requires that something may be created in a namespace.
 *
 * @throws `NotFound` when there is no such namespace, `Forbidden` when it is being deleted
 */
export function requireOpenNamespace(
  { cluster, resource }: WriteContext,
  namespace: string,
  name: string,
): void {
  if (!resource.namespaced) return
  const namespaces = cluster.catalog.get('', 'v1', 'namespaces')
  if (cluster.space.get(storeKey(namespaces, '', namespace)) === undefined) {
    throw notFound(namespaces, namespace)
  }
  if (!isClosing(cluster, namespace)) return
  throw forbidden(
    resource,
    name,
    `unable to create new content in namespace ${namespace} because it is being terminated`,
    [
      {
        reason: 'NamespaceTerminating',
        message: `namespace ${namespace} is being terminated`,
        field: 'metadata.namespace',
      },
    ],
  )
}

function isClosing(cluster: WriteContext['cluster'], namespace: string): boolean {
  if (cluster.closingNamespaces.has(namespace)) return true
  const stored = cluster.find('namespaces', '', namespace)
  // Almost every namespace is open, and its text does not hold the word; parsing it for every create would.
  if (stored === undefined || !stored.json.includes('"deletionTimestamp"')) return false
  return cluster.read(stored).metadata.deletionTimestamp !== undefined
}
