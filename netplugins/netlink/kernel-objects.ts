/** Objects of the kernel that are reconciled by the thousand: routes, neighbours, forwarding entries. */
import type { KernelRequest } from './route-socket.ts'

export interface KernelObject {
  /** By what the kernel tells it from others of its table. */
  readonly key: string
  /** Everything else about it: two of the same key and value are the same. */
  readonly value: string
  /** Adds it where there is none of that key. */
  readonly add: () => KernelRequest
  /** Takes the place of the one with the same key. */
  readonly replace: () => KernelRequest
  readonly remove: () => KernelRequest
}

/** Key → object. */
export type KernelTable = ReadonlyMap<string, KernelObject>

export interface TableChanges {
  /** What is missing or different, as it shall be, and how to bring it about. */
  readonly additions: readonly { readonly key: string; readonly request: KernelRequest }[]
  readonly removals: readonly { readonly key: string; readonly request: KernelRequest }[]
}

export function tableOf(objects: Iterable<KernelObject>): Map<string, KernelObject> {
  const table = new Map<string, KernelObject>()
  for (const object of objects) table.set(object.key, object)
  return table
}

/** What leads from one table to another; nothing where they agree. */
export function tableChanges(actual: KernelTable, desired: KernelTable): TableChanges {
  const additions: { key: string; request: KernelRequest }[] = []
  const removals: { key: string; request: KernelRequest }[] = []
  for (const [key, object] of desired) {
    const present = actual.get(key)
    if (present === undefined) additions.push({ key, request: object.add() })
    else if (present !== object && present.value !== object.value)
      additions.push({ key, request: object.replace() })
  }
  for (const [key, object] of actual) {
    if (!desired.has(key)) removals.push({ key, request: object.remove() })
  }
  return { additions, removals }
}
