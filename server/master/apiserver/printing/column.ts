/** Columns of `meta/v1` tables. */
import type { Frozen } from '../json.ts'
import type { KubernetesObject } from '../objects.ts'

export interface Column {
  readonly name: string
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date'
  /** `name` for the column that identifies the row. */
  readonly format: string
  readonly description: string
  /** 0 is always shown, higher ones only when asked for (`-o wide`). */
  readonly priority: number
}

/** Null where there is nothing to show. */
export type Cell = string | number | boolean | null

/** How objects of one kind are shown. */
export interface Printer<T extends KubernetesObject = KubernetesObject> {
  readonly columns: readonly Column[]
  /** One cell per column. `now` is in milliseconds since 1970. */
  cells(object: Frozen<T>, now: number): Cell[]
}

export const NAME_COLUMN: Column = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name must be unique within a namespace.',
  priority: 0,
}

export const AGE_COLUMN: Column = {
  name: 'Age',
  type: 'string',
  format: '',
  description: 'Time since the object was created.',
  priority: 0,
}

export function textColumn(name: string, description: string): Column {
  return { name, type: 'string', format: '', description, priority: 0 }
}

export function numberColumn(name: string, description: string): Column {
  return { name, type: 'integer', format: '', description, priority: 0 }
}

/** A column for `-o wide`. */
export function wide(column: Column): Column {
  return { ...column, priority: 1 }
}
