/**
 * Match conditions: expressions that say whether a webhook is to be asked at all (Kubernetes "Matching requests:
 * matchConditions"). One that asks for rights is run again until everything that it asked is known.
 */
import type { AccessView, Authorizer, Identity } from '../access/index.ts'
import {
  CostEstimate,
  type Measure,
  measureOf,
  type ParsedRule,
  plainEnvironment,
  RuleLanguage,
  withKubernetesFunctions,
} from '../custom/index.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { AuthorizerValue, Rights, requestedOf, withRights } from './condition-rights.ts'
import type { MatchCondition } from './configuration.ts'

/** Steps of all conditions of a webhook on one request: about a tenth of a second. */
const COST_LIMIT = 1_000_000

const VARIABLES = ['object', 'oldObject', 'request', 'authorizer']

const language = new RuleLanguage(limits => {
  const environment = plainEnvironment(limits)
  for (const name of VARIABLES) environment.registerVariable(name, 'dyn')
  return withKubernetesFunctions(withRights(environment))
})

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
}

/** What is wrong with an expression, where a webhook is configured; undefined when nothing is. */
export function conditionProblem(expression: string): string | undefined {
  try {
    const { valid, type = 'dyn', error } = language.parse(expression).run.check()
    if (!valid) return `compilation failed: ${firstLine(error)}`
    return type === 'bool' || type === 'dyn' ? undefined : 'must evaluate to bool'
  } catch (error) {
    return `compilation failed: ${firstLine(error)}`
  }
}

function toCel(value: JsonValue): unknown {
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value
  if (Array.isArray(value)) return value.map(toCel)
  if (!isJsonObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, toCel(member)]))
}

export interface ConditionInput {
  readonly object: JsonValue
  readonly oldObject: JsonValue
  readonly request: JsonObject
  readonly identity: Identity
  readonly authorizer: Authorizer
  readonly view: AccessView
}

export type ConditionResult =
  | { readonly type: 'matches' | 'differs' }
  | { readonly type: 'failed'; readonly reason: string }

/** Whether all conditions hold. One that does not is enough, whatever became of the others. */
export async function evaluateConditions(
  conditions: readonly MatchCondition[],
  input: ConditionInput,
): Promise<ConditionResult> {
  const { object, oldObject, request } = input
  const variables = { object: toCel(object), oldObject: toCel(oldObject), request: toCel(request) }
  const measures = new Map(
    Object.entries({ object, oldObject, request }).map(
      ([name, value]) => [name, measureOf([value])] as const,
    ),
  )
  const budget = new Budget(measures)
  let failure: string | undefined
  for (const { name, expression } of conditions) {
    try {
      if (!(await holds(expression, variables, input, budget))) return { type: 'differs' }
    } catch (error) {
      failure ??= `match condition ${JSON.stringify(name)}: ${firstLine(error)}`
    }
  }
  return failure === undefined ? { type: 'matches' } : { type: 'failed', reason: failure }
}

/** What the conditions of one webhook may take together. */
class Budget {
  readonly #estimate = new CostEstimate(name => name)
  readonly #measures: ReadonlyMap<string, Measure>
  #left = COST_LIMIT

  constructor(measures: ReadonlyMap<string, Measure>) {
    this.#measures = measures
  }

  /** @throws `RangeError` when there is not enough left for another run */
  spend({ run }: ParsedRule): void {
    this.#left -= this.#estimate.of(run.ast, this.#measures)
    if (this.#left < 0) throw new RangeError('it would take too long on this object')
  }
}

async function holds(
  expression: string,
  variables: Record<string, unknown>,
  { identity, authorizer, view, request }: ConditionInput,
  budget: Budget,
): Promise<boolean> {
  const parsed = language.parse(expression)
  const rights = new Rights()
  const all = { ...variables, authorizer: new AuthorizerValue(rights, identity, requestedOf(request)) }
  for (;;) {
    budget.spend(parsed)
    let result: unknown
    try {
      result = parsed.run(all)
    } catch (error) {
      if (!rights.isIncomplete) throw error
    }
    // What was asked may have been swallowed by the other side of an "or".
    if (!rights.isIncomplete) {
      if (typeof result !== 'boolean') throw new TypeError('it is neither true nor false')
      return result
    }
    await rights.find(authorizer, view)
  }
}
