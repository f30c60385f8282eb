/**
 * The Common Expression Language as rules of schemas use it: parsed once, with Kubernetes' functions, and with bounds on
 * what a rule may be.
 */
import type { ASTNode, Environment, Limits, ParseResult } from '@marcbachmann/cel-js'
import { plainEnvironment, withKubernetesFunctions } from './rule-functions.ts'

const LONGEST_RULE = 16_384
const LIMITS = {
  maxAstNodes: 2000,
  maxDepth: 60,
  maxListElements: 200,
  maxMapEntries: 200,
  maxCallArguments: 16,
}
/** Comprehensions inside of comprehensions. */
const DEEPEST_NESTING = 3
/** Characters of all rules that are remembered parsed. */
const REMEMBERED = 1024 * 1024

const COMPREHENSIONS = new Set([
  'all',
  'exists',
  'exists_one',
  'existsOne',
  'map',
  'filter',
  'transformList',
  'transformMap',
])

function walk(node: ASTNode, visit: (node: ASTNode, nesting: number) => void, nesting = 0): void {
  visit(node, nesting)
  const { op, args } = node
  const inside = op === 'rcall' && COMPREHENSIONS.has(args[0]) ? nesting + 1 : nesting
  const each = (value: unknown, depth: number): void => {
    if (Array.isArray(value)) for (const item of value) each(item, depth)
    else if (typeof value === 'object' && value !== null && 'op' in value)
      walk(value as ASTNode, visit, depth)
  }
  // What a comprehension goes through is not inside of it.
  if (op === 'rcall') {
    const [, receiver, inner] = args as [string, ASTNode, ASTNode[]]
    each(receiver, nesting)
    each(inner, inside)
  } else each(args, nesting)
}

export interface ParsedRule {
  readonly run: ParseResult
  readonly usesOldSelf: boolean
}

/** Gives `matches` the linear implementation: the library's own would use JavaScript's expressions. */
function withLinearMatches(source: string, ast: ASTNode): string {
  const ends: number[] = []
  walk(ast, ({ op, args }) => {
    if (op === 'rcall' && args[0] === 'matches') ends.push(args[1].range.end)
  })
  return ends
    .toSorted((a, b) => b - a)
    .reduce((text, end) => {
      const at = text.indexOf('matches', end)
      return `${text.slice(0, at)}matchesLinear${text.slice(at + 'matches'.length)}`
    }, source)
}

/** Expressions over the same variables and functions, remembered parsed. */
export class RuleLanguage {
  readonly #makeEnvironment: (limits: Partial<Limits>) => Environment
  #environment: Environment | undefined
  /** In order of last use. */
  readonly #parsed = new Map<string, ParsedRule>()
  #remembered = 0

  constructor(makeEnvironment: (limits: Partial<Limits>) => Environment) {
    this.#makeEnvironment = makeEnvironment
  }

  /** @throws what the library finds wrong with it, or `RangeError` for one that is too large */
  parse(source: string): ParsedRule {
    const present = this.#parsed.get(source)
    if (present !== undefined) {
      this.#parsed.delete(source)
      this.#parsed.set(source, present)
      return present
    }
    const made = this.#make(source)
    this.#parsed.set(source, made)
    this.#remembered += source.length
    for (const oldest of this.#parsed.keys()) {
      if (this.#remembered <= REMEMBERED) break
      this.#parsed.delete(oldest)
      this.#remembered -= oldest.length
    }
    return made
  }

  #make(source: string): ParsedRule {
    if (source.length > LONGEST_RULE) throw new RangeError(`rules may have ${LONGEST_RULE} characters`)
    this.#environment ??= this.#makeEnvironment(LIMITS)
    const first = this.#environment.parse(source)
    const linear = withLinearMatches(source, first.ast)
    const run = linear === source ? first : this.#environment.parse(linear)
    let nesting = 0
    let usesOldSelf = false
    walk(run.ast, (node, depth) => {
      // A comment may have stood where the name was looked for.
      if (node.op === 'rcall' && node.args[0] === 'matches')
        throw new RangeError('a call of matches cannot be read')
      nesting = Math.max(nesting, depth)
      if (node.op === 'id' && node.args === 'oldSelf') usesOldSelf = true
    })
    if (nesting > DEEPEST_NESTING)
      throw new RangeError(`comprehensions may be nested ${DEEPEST_NESTING} deep`)
    return { run, usesOldSelf }
  }
}

const schemaRules = new RuleLanguage(limits =>
  withKubernetesFunctions(
    plainEnvironment(limits).registerVariable('self', 'dyn').registerVariable('oldSelf', 'dyn'),
  ),
)

/** A rule of a schema. @throws what the library finds wrong with it, or `RangeError` for one that is too large */
export function parseRule(source: string): ParsedRule {
  return schemaRules.parse(source)
}
