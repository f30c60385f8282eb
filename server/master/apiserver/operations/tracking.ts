/** Writes down in an object who manages its fields. */
import {
  afterApply,
  afterUpdate,
  compareObjects,
  type FieldSet,
  type Manager,
  readManagers,
  writeManagers,
} from '../apply/index.ts'
import type { Resource } from '../catalog/index.ts'
import type { Frozen, JsonObject } from '../json.ts'
import type { KubernetesObject, ManagedFieldsEntry } from '../objects.ts'
import { formatTime } from '../schema/index.ts'
import type { Part } from './update.ts'

/** How one request counts for the fields that it changes. */
export type Tracking =
  | { readonly type: 'update'; readonly manager: Manager }
  | {
      readonly type: 'apply'
      readonly manager: Manager
      readonly applied: FieldSet
      /** Take fields from others. */
      readonly force: boolean
    }

/** The member of an object that a request to another part of it does not answer for. */
function otherPart(resource: Resource, part: Part): string | undefined {
  return part === '' && resource.subresources.has('status') ? 'status' : undefined
}

function without(object: Frozen<KubernetesObject>, member: string | undefined): JsonObject {
  if (member === undefined || object[member] === undefined) return object as unknown as JsonObject
  const { [member]: _, ...rest } = object as unknown as JsonObject
  return rest
}

/**
 * Sets `metadata.managedFields` of the version that is about to be written.
 *
 * @param tracking undefined for writes of the program itself, which manages no fields
 * @param old the version before; undefined for a new object
 * @param now milliseconds since 1970
 * @throws `Conflict` for an apply to fields of others
 */
export function trackFields(
  tracking: Tracking | undefined,
  resource: Resource,
  part: Part,
  old: Frozen<KubernetesObject> | undefined,
  next: KubernetesObject,
  now: number,
): void {
  // Objects with several faces would need a set for each.
  if (tracking === undefined || resource.face !== undefined) return
  const member = otherPart(resource, part)
  const before = old === undefined ? undefined : without(old, member)
  const comparison = compareObjects(before, without(next, member), resource.kept.schema)
  const time = formatTime(now)
  const managers = readManagers(next.metadata.managedFields)
  const { name } = next.metadata
  const after =
    tracking.type === 'update'
      ? afterUpdate(managers, tracking.manager, comparison, time)
      : afterApply(managers, tracking.manager, tracking.applied, comparison, {
          force: tracking.force,
          now: time,
          resource,
          name,
        })
  const entries: ManagedFieldsEntry[] | undefined = writeManagers(after)
  if (entries === undefined) delete next.metadata.managedFields
  else next.metadata.managedFields = entries
}
