/**
 * Match conditions: expressions that say whether a webhook is to be asked at all (Kubernetes "Matching requests:
 * matchConditions"). Those about rights (`authorizer`) ask the authorizer, which takes its time: the expression is run
 * until everything that it asked is known.
 */
import {
  type AccessView,
  type Authorizer,
  type Identity,
  serviceAccountOf,
  serviceAccountUser,
} from '../access/index.ts'
import {
  CostEstimate,
  measureOf,
  plainEnvironment,
  RuleLanguage,
  withKubernetesFunctions,
} from '../custom/index.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import type { MatchCondition } from './configuration.ts'

/** Steps of all conditions of a webhook on one request: about a tenth of a second. */
const COST_LIMIT = 1_000_000
/** Questions about rights of one expression. */
const MOST_QUESTIONS = 16

/** What an expression asks the authorizer. */
interface Question {
  readonly identity: Identity
  readonly verb: string
  readonly group: string
  readonly resource: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  readonly path: string | undefined
}

interface Decision {
  readonly allowed: boolean
  readonly reason: string
}

/** An answer is not there yet; never seen outside of this module. */
class Unknown extends Error {}

/** What is known of rights during the runs of one expression. */
class Rights {
  readonly #known = new Map<string, Decision>()
  readonly asked: Question[] = []

  decide(question: Question): Decision {
    const known = this.#known.get(JSON.stringify(question))
    if (known !== undefined) return known
    this.asked.push(question)
    throw new Unknown('it is not known yet whether that is allowed')
  }

  async find(authorizer: Authorizer, view: AccessView): Promise<void> {
    for (const question of this.asked.splice(0)) {
      const { path, ...attributes } = question
      const decision = await authorizer.authorize(
        { ...attributes, ...(path === undefined ? {} : { path }), requiredField: () => undefined },
        view,
      )
      const reason = decision.allowed ? '' : (decision.reason ?? '')
      this.#known.set(JSON.stringify(question), { allowed: decision.allowed, reason })
    }
    if (this.#known.size > MOST_QUESTIONS)
      throw new RangeError(`it asks more than ${MOST_QUESTIONS} times for rights`)
  }
}

class AuthorizerValue {
  readonly rights: Rights
  readonly identity: Identity
  /** What the request is about. */
  readonly requestResource: ResourceCheck

  constructor(rights: Rights, identity: Identity, requested: Asked) {
    this.rights = rights
    this.identity = identity
    this.requestResource = new ResourceCheck(this, requested)
  }
}

class PathCheck {
  readonly authorizer: AuthorizerValue
  readonly path: string

  constructor(authorizer: AuthorizerValue, path: string) {
    this.authorizer = authorizer
    this.path = path
  }
}

class GroupCheck {
  readonly authorizer: AuthorizerValue
  readonly group: string

  constructor(authorizer: AuthorizerValue, group: string) {
    this.authorizer = authorizer
    this.group = group
  }
}

type Asked = Pick<Question, 'group' | 'resource' | 'subresource' | 'namespace' | 'name'>

class ResourceCheck {
  readonly authorizer: AuthorizerValue
  readonly asked: Asked

  constructor(authorizer: AuthorizerValue, asked: Asked) {
    this.authorizer = authorizer
    this.asked = asked
  }

  with(change: Partial<Asked>): ResourceCheck {
    return new ResourceCheck(this.authorizer, { ...this.asked, ...change })
  }
}

class DecisionValue {
  readonly decision: Decision

  constructor(decision: Decision) {
    this.decision = decision
  }
}

function decide({ rights, identity }: AuthorizerValue, question: Omit<Question, 'identity'>): DecisionValue {
  return new DecisionValue(rights.decide({ identity, ...question }))
}

const NOTHING: Asked = { group: '', resource: '', subresource: '', namespace: '', name: '' }

function accountOf(authorizer: AuthorizerValue, namespace: string, name: string): AuthorizerValue {
  const user = serviceAccountUser({ namespace, name })
  if (serviceAccountOf(user) === undefined) throw new RangeError('that is no name of a service account')
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated']
  return new AuthorizerValue(authorizer.rights, { user, groups }, authorizer.requestResource.asked)
}

const language = new RuleLanguage(limits => {
  const environment = plainEnvironment(limits)
  for (const name of ['object', 'oldObject', 'request', 'authorizer'])
    environment.registerVariable(name, 'dyn')
  environment
    .registerType('PathCheck', PathCheck)
    .registerType('GroupCheck', GroupCheck)
    .registerType('ResourceCheck', ResourceCheck)
    .registerType('Authorizer', { ctor: AuthorizerValue, fields: { requestResource: 'ResourceCheck' } })
    .registerType('Decision', DecisionValue)
    .registerFunction(
      'Authorizer.path(string): PathCheck',
      (a: AuthorizerValue, path: string) => new PathCheck(a, path),
    )
    .registerFunction(
      'Authorizer.group(string): GroupCheck',
      (a: AuthorizerValue, group: string) => new GroupCheck(a, group),
    )
    .registerFunction('Authorizer.serviceAccount(string, string): Authorizer', accountOf)
    .registerFunction(
      'GroupCheck.resource(string): ResourceCheck',
      ({ authorizer, group }: GroupCheck, resource: string) =>
        new ResourceCheck(authorizer, { ...NOTHING, group, resource }),
    )
    .registerFunction(
      'ResourceCheck.subresource(string): ResourceCheck',
      (check: ResourceCheck, subresource: string) => check.with({ subresource }),
    )
    .registerFunction(
      'ResourceCheck.namespace(string): ResourceCheck',
      (check: ResourceCheck, namespace: string) => check.with({ namespace }),
    )
    .registerFunction('ResourceCheck.name(string): ResourceCheck', (check: ResourceCheck, name: string) =>
      check.with({ name }),
    )
    .registerFunction(
      'ResourceCheck.check(string): Decision',
      ({ authorizer, asked }: ResourceCheck, verb: string) =>
        decide(authorizer, { verb, ...asked, path: undefined }),
    )
    .registerFunction('PathCheck.check(string): Decision', ({ authorizer, path }: PathCheck, verb: string) =>
      decide(authorizer, { verb, ...NOTHING, path }),
    )
    .registerFunction('Decision.allowed(): bool', ({ decision }: DecisionValue) => decision.allowed)
    .registerFunction('Decision.reason(): string', ({ decision }: DecisionValue) => decision.reason)
    .registerFunction('Decision.errored(): bool', () => false)
    .registerFunction('Decision.error(): string', () => '')
  return withKubernetesFunctions(environment)
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
  const estimate = new CostEstimate(name => name)
  let cost = 0
  let failure: string | undefined
  for (const { name, expression } of conditions) {
    try {
      cost += estimate.of(language.parse(expression).run.ast, measures)
      if (cost > COST_LIMIT) throw new RangeError('it would take too long on this object')
      if (!(await holds(expression, variables, input))) return { type: 'differs' }
    } catch (error) {
      failure ??= `match condition ${JSON.stringify(name)}: ${firstLine(error)}`
    }
  }
  return failure === undefined ? { type: 'matches' } : { type: 'failed', reason: failure }
}

function requestedOf({ resource, subResource, namespace, name }: JsonObject): Asked {
  const text = (value: JsonValue | undefined) => (typeof value === 'string' ? value : '')
  const named = isJsonObject(resource) ? resource : {}
  return {
    group: text(named.group),
    resource: text(named.resource),
    subresource: text(subResource),
    namespace: text(namespace),
    name: text(name),
  }
}

async function holds(
  expression: string,
  variables: Record<string, unknown>,
  { identity, authorizer, view, request }: ConditionInput,
): Promise<boolean> {
  const { run } = language.parse(expression)
  const rights = new Rights()
  const all = { ...variables, authorizer: new AuthorizerValue(rights, identity, requestedOf(request)) }
  for (;;) {
    let result: unknown
    try {
      result = run(all)
    } catch (error) {
      if (rights.asked.length === 0) throw error
    }
    // What was asked may have been swallowed by the other side of an "or".
    if (rights.asked.length === 0) {
      if (typeof result !== 'boolean') throw new TypeError('it is neither true nor false')
      return result
    }
    await rights.find(authorizer, view)
  }
}
