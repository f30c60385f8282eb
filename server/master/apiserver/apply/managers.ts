/** Who manages which fields of an object (Kubernetes "Server-Side Apply", field management). */
import type { Frozen, JsonObject, JsonValue } from '../json.ts'
import type { ManagedFieldsEntry } from '../objects.ts'
import type { ResourceName } from '../status.ts'
import { conflictOfManagers } from '../status.ts'
import {
  difference,
  EMPTY,
  equalSets,
  type FieldSet,
  fromFields,
  intersection,
  isEmptySet,
  paths,
  toFields,
  union,
} from './field-set.ts'
import { type Comparison, withoutSystemFields } from './typed.ts'

/** Managers of one object that are told apart; older updates beyond that are gathered into one. */
const MOST_UPDATERS = 10
const GATHERED = 'ancient-changes'

/** Who writes, and how. */
export interface Manager {
  readonly name: string
  readonly operation: 'Apply' | 'Update'
  readonly apiVersion: string
  /** Empty for the object itself. */
  readonly subresource: string
}

interface Managed {
  readonly manager: Manager
  readonly time: string
  readonly fields: FieldSet
}

export type Managers = readonly Managed[]

export function readManagers(entries: Frozen<ManagedFieldsEntry[]> | undefined): Managers {
  return (entries ?? []).flatMap(
    ({ manager = '', operation, apiVersion = '', subresource = '', time = '', fieldsV1 }) =>
      operation === 'Apply' || operation === 'Update'
        ? [
            {
              manager: { name: manager, operation, apiVersion, subresource },
              time,
              fields: fromFields(fieldsV1 as JsonValue | undefined),
            },
          ]
        : [],
  )
}

function toEntry({ manager, time, fields }: Managed): ManagedFieldsEntry {
  const { name, operation, apiVersion, subresource } = manager
  return {
    manager: name,
    operation,
    apiVersion,
    time,
    fieldsType: 'FieldsV1',
    fieldsV1: toFields(fields) as JsonObject,
    ...(subresource === '' ? {} : { subresource }),
  }
}

/** As `metadata.managedFields` keeps them; undefined when nobody manages anything. */
export function writeManagers(managers: Managers): ManagedFieldsEntry[] | undefined {
  const kept = managers.filter(({ fields }) => !isEmptySet(fields))
  return kept.length === 0 ? undefined : kept.map(toEntry)
}

function isSame(one: Manager, other: Manager): boolean {
  return (
    one.name === other.name &&
    one.operation === other.operation &&
    one.apiVersion === other.apiVersion &&
    one.subresource === other.subresource
  )
}

/** What all others have. */
export function fieldsOfOthers(managers: Managers, own: Manager): FieldSet {
  return managers.reduce(
    (all, { manager, fields }) => (isSame(manager, own) ? all : union(all, fields)),
    EMPTY,
  )
}

export function fieldsOfManager(managers: Managers, own: Manager): FieldSet {
  return managers.find(({ manager }) => isSame(manager, own))?.fields ?? EMPTY
}

function gatherOldUpdates(managers: Managers): Managers {
  const updates = managers.filter(({ manager }) => manager.operation === 'Update')
  if (updates.length <= MOST_UPDATERS) return managers
  const old = updates
    .toSorted((a, b) => (a.time < b.time ? -1 : 1))
    .slice(0, updates.length - MOST_UPDATERS + 1)
  const [first] = old
  if (first === undefined) return managers
  const gathered: Managed = {
    manager: { ...first.manager, name: GATHERED },
    time: old.at(-1)?.time ?? first.time,
    fields: old.reduce((all, { fields }) => union(all, fields), EMPTY),
  }
  return [gathered, ...managers.filter(each => !old.includes(each))]
}

function withOwn(others: Managers, before: Managers, own: Manager, fields: FieldSet, now: string): Managers {
  const previous = before.find(({ manager }) => isSame(manager, own))
  if (isEmptySet(fields)) return others
  // A time that changed without anything else would be a change of the object.
  const time = previous !== undefined && equalSets(previous.fields, fields) ? previous.time : now
  const entry: Managed = { manager: own, time, fields }
  const index = before.findIndex(({ manager }) => isSame(manager, own))
  return index < 0 ? [...others, entry] : others.toSpliced(index, 0, entry)
}

/** What a change makes of the managers: who changes a field has it, what is gone nobody has. */
export function afterUpdate(managers: Managers, own: Manager, comparison: Comparison, now: string): Managers {
  const changed = withoutSystemFields(comparison.changed)
  const { removed } = comparison
  const lost = union(changed, removed)
  const others = managers
    .filter(({ manager }) => !isSame(manager, own))
    .map(managed => ({ ...managed, fields: difference(managed.fields, lost) }))
    .filter(({ fields }) => !isEmptySet(fields))
  const fields = union(difference(fieldsOfManager(managers, own), removed), changed)
  return gatherOldUpdates(withOwn(others, managers, own, fields, now))
}

/**
 * What an apply makes of the managers.
 *
 * @param applied all fields that were applied
 * @param comparison of the object before with the one after
 * @throws `Conflict` naming managers and fields when another one's field changes, unless `force`
 */
export function afterApply(
  managers: Managers,
  own: Manager,
  applied: FieldSet,
  comparison: Comparison,
  options: {
    readonly force: boolean
    readonly now: string
    readonly resource: ResourceName
    readonly name: string
  },
): Managers {
  const wanted = withoutSystemFields(applied)
  const taken = intersection(wanted, comparison.changed)
  const conflicts = managers
    .filter(({ manager }) => !isSame(manager, own))
    .flatMap(({ manager, fields }) => paths(intersection(fields, taken)).map(field => ({ manager, field })))
  if (conflicts.length > 0 && !options.force) {
    throw conflictOfManagers(
      options.resource,
      options.name,
      conflicts.map(({ manager, field }) => ({
        field,
        message: `conflict with ${described(manager)}`,
      })),
    )
  }
  const lost = union(taken, comparison.removed)
  const others = managers
    .filter(({ manager }) => !isSame(manager, own))
    .map(managed => ({ ...managed, fields: difference(managed.fields, lost) }))
    .filter(({ fields }) => !isEmptySet(fields))
  return withOwn(others, managers, own, wanted, options.now)
}

/** As Kubernetes names a manager to others: which version an applier uses is no part of who it is. */
function described({ name, operation, apiVersion, subresource }: Manager): string {
  const within = subresource === '' ? '' : ` with subresource "${subresource}"`
  return `"${name}"${within}${operation === 'Update' ? ` using ${apiVersion}` : ''}`
}
