/**
 * Paths to values inside of objects, in the form of kubectl's JSONPath (Kubernetes "JSONPath Support"), without the
 * parts that could run long: `.spec.replicas`, `.status.conditions[?(@.type=="Ready")].status`, `.a['b.c'][0]`, `.a[*].b`.
 */
import { isJsonObject, type JsonValue, memberOf } from '../json.ts'

type Step =
  | { readonly kind: 'member'; readonly name: string }
  | { readonly kind: 'index'; readonly index: number }
  | { readonly kind: 'slice'; readonly from: number; readonly to: number | undefined }
  | { readonly kind: 'all' }
  | {
      readonly kind: 'filter'
      readonly path: SimplePath
      readonly operator: string
      readonly value: JsonValue | undefined
    }

export type SimplePath = readonly Step[]

const LONGEST = 1024
const MOST_STEPS = 64
/** Values that one step may lead to. */
const MOST_VALUES = 1000

const TOKEN =
  /\.?\[(?:(-?\d*):(-?\d*)|'([^']*)'|"([^"]*)"|(-?\d+)|(\*)|\?\(\s*@([^=!<>]*?)\s*(?:(==|!=|<=|>=|<|>)\s*(?:'([^']*)'|"([^"]*)"|(true|false|-?\d+(?:\.\d+)?))\s*)?\))\]|\.(\*)|\.?((?:[^.[\]\\*]|\\.)+)/y

/** Reads a path; undefined for what is not one. */
export function parsePath(text: string): SimplePath | undefined {
  const inner = /^\{(.*)\}$/s.exec(text)?.[1] ?? text
  if (inner.length > LONGEST || inner === '') return undefined
  if (inner === '.' || inner === '$') return []
  const path = inner.startsWith('$') ? inner.slice(1) : inner
  const steps: Step[] = []
  const token = new RegExp(TOKEN)
  while (token.lastIndex < path.length) {
    const match = token.exec(path)
    const step = match === null ? undefined : stepOf(match)
    if (step === undefined || steps.length >= MOST_STEPS) return undefined
    steps.push(step)
  }
  return steps
}

function stepOf(match: RegExpExecArray): Step | undefined {
  const [
    ,
    from,
    to,
    single,
    double,
    index,
    all,
    filtered,
    operator = '',
    singleValue,
    doubleValue,
    bare,
    dotAll,
    member,
  ] = match
  if (from !== undefined)
    return { kind: 'slice', from: Number(from), to: (to ?? '') === '' ? undefined : Number(to) }
  const quoted = single ?? double
  if (quoted !== undefined) return { kind: 'member', name: quoted }
  if (index !== undefined) return { kind: 'index', index: Number(index) }
  if (all !== undefined || dotAll !== undefined) return { kind: 'all' }
  if (member !== undefined) return { kind: 'member', name: member.replaceAll(/\\(.)/g, '$1') }
  const path = filtered === undefined ? undefined : parsePath(filtered === '' ? '.' : filtered)
  if (path === undefined) return undefined
  const text = singleValue ?? doubleValue
  const value = text ?? (bare === undefined ? undefined : (JSON.parse(bare) as JsonValue))
  return { kind: 'filter', path, operator, value }
}

function passes(found: JsonValue | undefined, operator: string, wanted: JsonValue | undefined): boolean {
  if (operator === '') return found !== undefined
  if (found === undefined || typeof found !== typeof wanted) return false
  switch (operator) {
    case '==':
      return found === wanted
    case '!=':
      return found !== wanted
    default:
      return compares(found as number, operator, wanted as number)
  }
}

function compares(one: number, operator: string, other: number): boolean {
  if (operator === '<') return one < other
  if (operator === '<=') return one <= other
  return operator === '>' ? one > other : one >= other
}

function follow(value: JsonValue, step: Step): JsonValue[] {
  switch (step.kind) {
    case 'member': {
      const member = isJsonObject(value) ? memberOf(value, step.name) : undefined
      return member === undefined ? [] : [member]
    }
    case 'index': {
      const item = Array.isArray(value) ? value.at(step.index) : undefined
      return item === undefined ? [] : [item]
    }
    case 'slice':
      return Array.isArray(value) ? value.slice(step.from, step.to) : []
    case 'all':
      return typeof value === 'object' && value !== null ? (Object.values(value) as JsonValue[]) : []
    case 'filter':
      return (Array.isArray(value) ? value : []).filter(item =>
        passes(valuesAt(item, step.path)[0], step.operator, step.value),
      )
  }
}

/** Every value that a path leads to. */
export function valuesAt(value: JsonValue, path: SimplePath): JsonValue[] {
  let values = [value]
  for (const step of path) values = values.flatMap(each => follow(each, step)).slice(0, MOST_VALUES)
  return values
}

/** The names along a path that only has names, such as those of replicas and of selectable fields. */
export function namesOf(path: SimplePath | undefined): string[] | undefined {
  const names = path?.flatMap(step => (step.kind === 'member' ? [step.name] : []))
  return names === undefined || names.length !== path?.length || names.length === 0 ? undefined : names
}
