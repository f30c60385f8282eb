/**
 * Rules of schemas (`x-kubernetes-validations`): checked where a kind is defined, run on every object.
 *
 * What a rule may cost is bounded before it runs: its size when the kind is defined, and what it does with what it reads
 * and makes (`rule-cost.ts`) for every object. All clusters share this process.
 */
import { Optional, type ParseResult } from '@marcbachmann/cel-js'
import { equalJson, isJsonObject, type JsonValue, memberOf } from '../json.ts'
import { type FieldProblem, forbiddenField, invalid, required } from '../problems.ts'
import { oldItems, oldMember } from './correlation.ts'
import { childPath, itemPath } from './field-path.ts'
import { CostEstimate, measureOf } from './rule-cost.ts'
import { parseRule } from './rule-language.ts'
import type { SchemaNode, ValidationRule } from './schema-node.ts'

/** Steps of all rules on one object: about a tenth of a second. */
const COST_LIMIT = 1_000_000
const MOST_TOLD = 50

/** Words of the language, and forms of names that are not its own, which are written differently in rules. */
const RESERVED = new Set([
  'true',
  'false',
  'null',
  'in',
  'as',
  'break',
  'const',
  'continue',
  'else',
  'for',
  'function',
  'if',
  'import',
  'let',
  'loop',
  'package',
  'namespace',
  'return',
  'var',
  'void',
  'while',
])

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
}

/** What is wrong with the rules of one schema, where it is defined. */
export function checkRules(rules: readonly ValidationRule[], path: string): FieldProblem[] {
  const problems: FieldProblem[] = []
  for (const [index, { rule, message, messageExpression, fieldPath, reason }] of rules.entries()) {
    const place = itemPath(childPath(path, 'x-kubernetes-validations'), index)
    if (rule.trim() === '') {
      problems.push(required(`${place}.rule`, 'rule is not specified'))
      continue
    }
    if (message.includes('\n'))
      problems.push(invalid(`${place}.message`, message, 'message must not contain line breaks'))
    if (fieldPath !== '' && !/^\.[\w.[\]'-]+$/.test(fieldPath))
      problems.push(invalid(`${place}.fieldPath`, fieldPath, 'fieldPath must be a valid path'))
    if (reason !== '' && !REASONS.has(reason))
      problems.push(invalid(`${place}.reason`, reason, `must be one of ${[...REASONS.keys()].join(', ')}`))
    for (const [field, source, wanted] of [
      ['rule', rule, 'bool'],
      ['messageExpression', messageExpression, 'string'],
    ] as const) {
      if (source === '') continue
      try {
        const { valid, type = 'dyn', error } = parseRule(source).run.check()
        if (!valid)
          problems.push(invalid(`${place}.${field}`, source, `compilation failed: ${firstLine(error)}`))
        else if (type !== wanted && type !== 'dyn')
          problems.push(invalid(`${place}.${field}`, source, `must evaluate to a ${wanted}`))
      } catch (error) {
        problems.push(invalid(`${place}.${field}`, source, `compilation failed: ${firstLine(error)}`))
      }
    }
  }
  return problems
}

const REASONS = new Map<string, (field: string, value: string, message: string) => FieldProblem>([
  ['FieldValueInvalid', invalid],
  ['FieldValueForbidden', (field, _value, message) => forbiddenField(field, message)],
  ['FieldValueRequired', (field, _value, message) => required(field, message)],
  [
    'FieldValueDuplicate',
    (field, value) => ({ ...invalid(field, value, ''), reason: 'FieldValueDuplicate' }),
  ],
])

function escapeName(name: string): string {
  if (RESERVED.has(name)) return `__${name}__`
  return name
    .replaceAll('__', '__underscores__')
    .replaceAll('.', '__dot__')
    .replaceAll('-', '__dash__')
    .replaceAll('/', '__slash__')
}

function celNumber(value: number, { type }: SchemaNode): number | bigint {
  return type !== 'number' && Number.isInteger(value) ? BigInt(value) : value
}

const ANYTHING = {
  type: '',
  format: '',
  properties: new Map(),
  additional: 'any',
  items: undefined,
} as unknown as SchemaNode

/** A JSON value as rules see it: whole numbers are integers, times are times. */
function toCel(value: JsonValue, node: SchemaNode): unknown {
  if (typeof value === 'number') return celNumber(value, node)
  if (typeof value === 'string') {
    return node.format === 'date-time' || node.format === 'datetime' ? new Date(value) : value
  }
  if (Array.isArray(value)) return value.map(item => toCel(item, node.items ?? ANYTHING))
  if (!isJsonObject(value)) return value
  const entries = Object.entries(value).map(([name, member]) => {
    const property = node.properties.get(name)
    if (property !== undefined) return [escapeName(name), toCel(member as JsonValue, property)] as const
    const inner = node.additional === undefined || node.additional === 'any' ? ANYTHING : node.additional
    return [name, toCel(member as JsonValue, inner)] as const
  })
  return Object.fromEntries(entries)
}

/** The name of a field that a rule's name stands for. */
function fieldNamed(name: string, value: JsonValue): string {
  if (!isJsonObject(value) || Object.hasOwn(value, name)) return name
  return Object.keys(value).find(each => escapeName(each) === name) ?? name
}

class RuleRun {
  readonly problems: FieldProblem[] = []
  /** Spent by all rules on this object. */
  #cost = 0
  readonly #estimate = new CostEstimate(fieldNamed)

  value(value: JsonValue, node: SchemaNode, path: string, old: JsonValue | undefined): void {
    if (this.problems.length >= MOST_TOLD) return
    const unchanged = old !== undefined && equalJson(value, old)
    if (node.rules.length > 0 && value !== null) this.#rules(value, node, path, old, unchanged)
    if (Array.isArray(value)) {
      const { items } = node
      if (items === undefined) return
      const oldOf = oldItems(old, node)
      for (const [index, item] of value.entries()) this.value(item, items, itemPath(path, index), oldOf(item))
    } else if (isJsonObject(value)) {
      for (const [name, member] of Object.entries(value)) {
        const inner = node.properties.get(name) ?? (node.additional === 'any' ? undefined : node.additional)
        if (inner !== undefined)
          this.value(member as JsonValue, inner, childPath(path, name), oldMember(old, name))
      }
    }
  }

  #rules(
    value: JsonValue,
    node: SchemaNode,
    path: string,
    old: JsonValue | undefined,
    unchanged: boolean,
  ): void {
    const self = toCel(value, node)
    const oldSelf = old === undefined ? undefined : toCel(old, node)
    const measures = new Map([
      ['self', measureOf([value])],
      ['oldSelf', measureOf([old ?? null])],
    ])
    for (const rule of node.rules) {
      const { run, usesOldSelf } = parseRule(rule.rule)
      if (usesOldSelf ? old === undefined && !rule.optionalOldSelf : unchanged) continue
      this.#cost += this.#estimate.of(run.ast, measures)
      if (this.#cost > COST_LIMIT) {
        this.problems.push(
          invalid(path, node.type, 'the rules of this kind would take too long on this object'),
        )
        return
      }
      const variables = { self, oldSelf: rule.optionalOldSelf ? Optional.of(oldSelf) : (oldSelf ?? null) }
      const failure = evaluate(run, variables)
      if (failure === undefined) continue
      const field =
        rule.fieldPath === '' ? path : `${path}${path === '' ? rule.fieldPath.slice(1) : rule.fieldPath}`
      const make = REASONS.get(rule.reason) ?? invalid
      this.problems.push(make(field, node.type, messageOf(rule, variables, failure)))
    }
  }
}

/** @returns undefined when the rule holds, an empty text when it does not, or why it could not be asked */
function evaluate(run: ParseResult, variables: Record<string, unknown>): string | undefined {
  try {
    return run(variables) === true ? undefined : ''
  } catch (error) {
    return firstLine(error)
  }
}

function messageOf(
  { rule, message, messageExpression }: ValidationRule,
  variables: Record<string, unknown>,
  failure: string,
): string {
  if (failure !== '') return `rule could not be evaluated: ${rule}: ${failure}`
  if (messageExpression !== '') {
    try {
      const made: unknown = parseRule(messageExpression).run(variables)
      if (typeof made === 'string' && made.trim() !== '' && !made.includes('\n')) return made
    } catch {
      // The plain message is what is left, as in Kubernetes.
    }
  }
  return message === '' ? `failed rule: ${rule}` : message
}

function hasRules({ rules, properties, items, additional }: SchemaNode): boolean {
  return (
    rules.length > 0 ||
    [...properties.values()].some(hasRules) ||
    (items !== undefined && hasRules(items)) ||
    (additional !== undefined && additional !== 'any' && hasRules(additional))
  )
}

const known = new WeakMap<SchemaNode, boolean>()

/** Runs the rules of a schema on an object that its types fit. @param old the version before */
export function runRules(object: JsonValue, schema: SchemaNode, old: JsonValue | undefined): FieldProblem[] {
  let any = known.get(schema)
  if (any === undefined) {
    any = hasRules(schema)
    known.set(schema, any)
  }
  if (!any) return []
  const run = new RuleRun()
  run.value(object, schema, '', old)
  return run.problems
}

/** What rules may see of an object's metadata. */
export function visibleToRules(object: JsonValue): JsonValue {
  if (!isJsonObject(object)) return object
  const metadata = isJsonObject(object.metadata) ? object.metadata : {}
  const seen = Object.fromEntries(
    ['name', 'generateName'].flatMap(name => {
      const value = memberOf(metadata, name)
      return value === undefined ? [] : [[name, value]]
    }),
  )
  return { ...object, metadata: seen }
}
