/** Objects as `meta/v1` Table and PartialObjectMetadata. */
import type { Frozen } from '../json.ts'
import type { KubernetesObject } from '../objects.ts'
import type { Printer } from './column.ts'

/** How much of the object each row carries. */
export type IncludeObject = 'None' | 'Metadata' | 'Object'

/** What the rows of a table belong to. */
export interface TableMetadata {
  readonly resourceVersion: string
  readonly continue?: string
  readonly remainingItemCount?: number
}

const META_VERSION = 'meta.k8s.io/v1'

export function partialObject(object: Frozen<KubernetesObject>) {
  return { kind: 'PartialObjectMetadata', apiVersion: META_VERSION, metadata: object.metadata }
}

export function tableRow(
  object: Frozen<KubernetesObject>,
  printer: Printer,
  include: IncludeObject,
  now: number,
) {
  const cells = printer.cells(object, now)
  switch (include) {
    case 'None':
      return { cells, object: null }
    case 'Metadata':
      return { cells, object: partialObject(object) }
    case 'Object':
      return { cells, object }
  }
}

/** A whole table. */
export function tableObject(
  objects: Iterable<Frozen<KubernetesObject>>,
  printer: Printer,
  options: { readonly include: IncludeObject; readonly now: number; readonly metadata: TableMetadata },
) {
  return {
    kind: 'Table',
    apiVersion: META_VERSION,
    metadata: options.metadata,
    columnDefinitions: printer.columns,
    rows: Array.from(objects, object => tableRow(object, printer, options.include, options.now)),
  }
}
