/** How much a cluster may hold: one of many in a process must not take what all need. */
import { forbidden } from '../status.ts'
import type { WriteContext } from './context.ts'

/**
 * Requires room for a new object, or for an object's growth.
 *
 * @param growth characters of JSON
 * @throws `Forbidden`; deleting always helps
 */
export function requireRoom(
  { cluster, resource }: WriteContext,
  name: string,
  isNew: boolean,
  growth: number,
): void {
  const { objects, length } = cluster.space.usage()
  const { limits } = cluster
  if (isNew && objects >= limits.objects) {
    throw forbidden(
      resource,
      name,
      `the cluster holds ${objects} objects already, as many as it may; delete some first`,
    )
  }
  if (growth > 0 && length + growth > limits.length) {
    throw forbidden(
      resource,
      name,
      `the objects of the cluster would be larger than the ${limits.length} characters that they may be together; delete some first`,
    )
  }
}
