/**
 * What is wrong with the fields of an object, worded as Kubernetes does
 * (`k8s.io/apimachinery/pkg/util/validation/field`).
 */
import { StatusError } from './status.ts'

export interface FieldProblem {
  readonly reason:
    | 'FieldValueRequired'
    | 'FieldValueInvalid'
    | 'FieldValueNotSupported'
    | 'FieldValueDuplicate'
    | 'FieldValueForbidden'
    | 'FieldValueNotFound'
    | 'FieldValueTooLong'
    | 'FieldValueTooMany'
  /** Path of the field: `spec.containers[0].name`. */
  readonly field: string
  /** Without the field. */
  readonly message: string
}

const SHOWN_VALUE = 200

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'null'
  return text.length > SHOWN_VALUE ? `${text.slice(0, SHOWN_VALUE)}…` : text
}

export function required(field: string, detail = ''): FieldProblem {
  return {
    reason: 'FieldValueRequired',
    field,
    message: `Required value${detail === '' ? '' : `: ${detail}`}`,
  }
}

export function invalid(field: string, value: unknown, detail: string): FieldProblem {
  return { reason: 'FieldValueInvalid', field, message: `Invalid value: ${show(value)}: ${detail}` }
}

export function notSupported(field: string, value: unknown, supported: Iterable<string>): FieldProblem {
  const values = [...supported].sort().map(item => `"${item}"`)
  return {
    reason: 'FieldValueNotSupported',
    field,
    message: `Unsupported value: ${show(value)}: supported values: ${values.join(', ')}`,
  }
}

export function duplicate(field: string, value: unknown): FieldProblem {
  return { reason: 'FieldValueDuplicate', field, message: `Duplicate value: ${show(value)}` }
}

export function forbiddenField(field: string, detail: string): FieldProblem {
  return { reason: 'FieldValueForbidden', field, message: `Forbidden: ${detail}` }
}

export function notFoundField(field: string, value: unknown): FieldProblem {
  return { reason: 'FieldValueNotFound', field, message: `Not found: ${show(value)}` }
}

export function tooLong(field: string, detail: string): FieldProblem {
  return { reason: 'FieldValueTooLong', field, message: `Too long: ${detail}` }
}

/** Counts are of items or members. */
export function tooMany(field: string, actual: number, most: number): FieldProblem {
  return {
    reason: 'FieldValueTooMany',
    field,
    message: `Too many: ${actual}: must have at most ${most} item${most === 1 ? '' : 's'}`,
  }
}

/** Most problems told in one answer. */
const SHOWN_PROBLEMS = 50

/** The refusal of an object with problems. */
export function invalidObject(
  kind: { readonly group: string; readonly kind: string },
  name: string,
  problems: readonly FieldProblem[],
): StatusError {
  const shown = problems.slice(0, SHOWN_PROBLEMS)
  const texts = [...new Set(shown.map(problem => `${problem.field}: ${problem.message}`))]
  const what = texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`
  const qualified = kind.group === '' ? kind.kind : `${kind.kind}.${kind.group}`
  return new StatusError('Invalid', `${qualified} "${name}" is invalid: ${what}`, {
    name,
    group: kind.group,
    kind: kind.kind,
    causes: shown,
  })
}
