/** Which members of a part of an object an update changes: many kinds allow few of them. */
import { equalJson, type JsonValue } from '../json.ts'

type Members = Readonly<Record<string, JsonValue | undefined>>

/** Names of members that differ, were added or are gone. */
export function changedFields(next: object, old: object): string[] {
  const after = next as Members
  const before = old as Members
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    field => !equalJson(before[field], after[field]),
  )
}
