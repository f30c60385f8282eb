/**
 * Rights as match conditions ask for them (`authorizer`, Kubernetes "CEL authorizer library"). The authorizer takes its
 * time and expressions do not wait: an answer that is not known yet ends the run, and is there for the next one.
 */
import type { Environment } from '@marcbachmann/cel-js'
import {
  type AccessView,
  AUTHENTICATED_GROUP,
  type Authorizer,
  type Identity,
  serviceAccountGroups,
  serviceAccountOf,
  serviceAccountUser,
} from '../access/index.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'

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
export class Rights {
  readonly #known = new Map<string, Decision>()
  readonly #asked: Question[] = []

  /** Whether the last run lacked an answer. */
  get isIncomplete(): boolean {
    return this.#asked.length > 0
  }

  decide(question: Question): Decision {
    const known = this.#known.get(JSON.stringify(question))
    if (known !== undefined) return known
    if (this.#asked.length <= MOST_QUESTIONS) this.#asked.push(question)
    throw new Unknown('it is not known yet whether that is allowed')
  }

  /** Finds the answers that the last run lacked. @throws `RangeError` when they are too many */
  async find(authorizer: Authorizer, view: AccessView): Promise<void> {
    for (const question of this.#asked.splice(0)) {
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

/** The variable `authorizer`. */
export class AuthorizerValue {
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

/** What somebody may do something with. */
export type Asked = Pick<Question, 'group' | 'resource' | 'subresource' | 'namespace' | 'name'>

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
  const groups = [...serviceAccountGroups({ namespace, name }), AUTHENTICATED_GROUP]
  return new AuthorizerValue(authorizer.rights, { user, groups }, authorizer.requestResource.asked)
}

/** Adds what can be done with the variable `authorizer`. */
export function withRights(environment: Environment): Environment {
  return environment
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
}

/** What the request of a review is about. */
export function requestedOf({ resource, subResource, namespace, name }: JsonObject): Asked {
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
