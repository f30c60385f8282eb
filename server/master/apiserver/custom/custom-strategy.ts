/** What the server does with objects of one version of a custom kind. */
import type { Frozen, JsonObject, JsonValue } from '../json.ts'
import { equalJson, isJsonObject, setMember } from '../json.ts'
import { defineStrategy, type KindStrategy, type ScaleAccess } from '../kinds/index.ts'
import type { KubernetesObject } from '../objects.ts'
import { AGE_COLUMN, type Cell, type Column, NAME_COLUMN, type Printer, since } from '../printing/index.ts'
import type { FieldProblem } from '../problems.ts'
import type { FieldReader } from '../selection/index.ts'
import { StatusError } from '../status.ts'
import { fillDefaults } from './defaults.ts'
import type { DefinitionVersion, PrinterColumn, ScalePaths } from './definition.ts'
import { runRules, visibleToRules } from './rules.ts'
import type { SchemaNode } from './schema-node.ts'
import { namesOf, parsePath, type SimplePath, valuesAt } from './simple-path.ts'
import { validateValue } from './validate.ts'

const LONGEST_CELL = 1024

function columnOf({ name, type, format = '', description = '', priority = 0 }: PrinterColumn): Column {
  // Dates are sent as ages, which are texts.
  return { name, type: type as Column['type'], format, description, priority }
}

function cellOf(value: JsonValue | undefined, type: string, now: number): Cell {
  if (value === undefined || value === null) return null
  switch (type) {
    case 'date':
      return typeof value === 'string' ? since(value, now) : null
    case 'integer':
      return typeof value === 'number' ? Math.trunc(value) : null
    case 'number':
      return typeof value === 'number' ? value : null
    case 'boolean':
      return typeof value === 'boolean' ? value : null
    default:
      return (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, LONGEST_CELL)
  }
}

function printerOf({ additionalPrinterColumns: columns }: DefinitionVersion): Printer {
  const shown = columns ?? [{ name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }]
  const readers = shown.map(({ type, jsonPath }) => ({ type, path: parsePath(jsonPath) }))
  return {
    columns: [NAME_COLUMN, ...(columns === undefined ? [AGE_COLUMN] : shown.map(columnOf))],
    cells: (object, now) => [
      object.metadata.name,
      ...readers.map(({ type, path }) =>
        cellOf(path && valuesAt(object as unknown as JsonValue, path)[0], type, now),
      ),
    ],
  }
}

function selectableOf({ selectableFields = [] }: DefinitionVersion): Map<string, FieldReader> {
  return new Map(
    selectableFields.map(({ jsonPath }) => {
      const path: SimplePath = parsePath(jsonPath) ?? []
      const read: FieldReader = object => {
        const [value] = valuesAt(object as unknown as JsonValue, path)
        return value === undefined || value === null ? '' : String(value)
      }
      return [jsonPath.replace(/^\./, ''), read] as const
    }),
  )
}

function writeAt(object: JsonObject, names: readonly string[], value: JsonValue): void {
  let at = object
  for (const name of names.slice(0, -1)) {
    const member = at[name]
    const inner: JsonObject = isJsonObject(member) ? member : {}
    setMember(at, name, inner)
    at = inner
  }
  setMember(at, names.at(-1) ?? '', value)
}

function scaleOf({ specReplicasPath, statusReplicasPath, labelSelectorPath = '' }: ScalePaths): ScaleAccess {
  const paths = {
    wanted: parsePath(specReplicasPath) ?? [],
    actual: parsePath(statusReplicasPath) ?? [],
    selector: labelSelectorPath === '' ? undefined : parsePath(labelSelectorPath),
  }
  const count = (object: JsonValue, path: SimplePath) => {
    const [value] = valuesAt(object, path)
    return typeof value === 'number' ? value : 0
  }
  return {
    read(object) {
      const value = object as unknown as JsonValue
      const [selector] = paths.selector === undefined ? [] : valuesAt(value, paths.selector)
      return {
        wanted: count(value, paths.wanted),
        actual: count(value, paths.actual),
        selector: typeof selector === 'string' ? selector : '',
      }
    },
    write(object, replicas) {
      writeAt(object as unknown as JsonObject, namesOf(paths.wanted) ?? [], replicas)
    },
  }
}

function checkObject(
  object: KubernetesObject,
  old: Frozen<KubernetesObject> | undefined,
  schema: SchemaNode,
): FieldProblem[] {
  // Metadata has been checked, and no schema says anything of it but the form of the name.
  const next = visibleToRules(object as unknown as JsonValue)
  const before = old === undefined ? undefined : visibleToRules(old as unknown as JsonValue)
  const problems = validateValue(next, schema, '', before)
  return problems.length > 0 ? problems : runRules(next, schema, before)
}

/** Whether two versions differ in what somebody wants, not in metadata and reports. */
function changesWish(next: KubernetesObject, old: Frozen<KubernetesObject>, reports: boolean): boolean {
  const wish = ({ metadata: _metadata, apiVersion: _version, status, ...rest }: Frozen<KubernetesObject>) =>
    (reports ? rest : { ...rest, status: status ?? null }) as unknown as JsonValue
  return !equalJson(wish(next as Frozen<KubernetesObject>), wish(old))
}

/** @param isTerminating whether the kind's definition is being deleted */
export function customStrategy(
  version: DefinitionVersion,
  schema: SchemaNode,
  isTerminating: () => boolean,
): KindStrategy {
  const reports = version.subresources?.status !== undefined
  const scale = version.subresources?.scale
  return defineStrategy({
    countsGenerations: true,
    unconditionalUpdate: false,
    printer: printerOf(version),
    selectable: selectableOf(version),
    scale: scale === undefined ? undefined : scaleOf(scale),
    prepareCreate(object) {
      if (isTerminating()) {
        throw new StatusError(
          'MethodNotAllowed',
          'create not allowed while custom resource definition is terminating',
        )
      }
      if (reports) delete object.status
    },
    complete(object) {
      if (fillDefaults(object as unknown as JsonValue, schema)) return
      throw new StatusError(
        'RequestEntityTooLarge',
        `${object.kind} ${JSON.stringify(object.metadata.name ?? '')} is too large with the defaults of its schema`,
      )
    },
    validate: (object, old) => checkObject(object, old, schema),
    validateStatus: (object, old) => checkObject(object, old, schema),
    changesWish: (next, old) => changesWish(next, old, reports),
  })
}
