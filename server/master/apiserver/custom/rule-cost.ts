/**
 * What a rule may cost on an object, before it runs: an upper bound of the steps and of the largest value that it makes.
 *
 * What the rule reads by name is measured as it is; what it makes of that is followed through the rule. Of the members of
 * a list, which a comprehension goes through, the mean counts where what is done takes time in proportion to their size,
 * and the largest where it takes more.
 */
import type { ASTNode } from '@marcbachmann/cel-js'
import { isJsonObject, type JsonValue, memberOf as ownMember } from '../json.ts'
import { compilePattern } from './pattern.ts'
import { LONGEST_TEXT } from './rule-functions.ts'

/** A step is about a tenth of a microsecond: so many characters are read in one. */
const READ_IN_STEP = 20
/** Instructions of an expression that a rule only makes when it runs. */
const LONG_PROGRAM = 1_000
/** Instructions times characters that are matched in one step. */
const MATCHED_IN_STEP = 7
/** Characters and members of the largest value that a rule may make. */
const LARGEST_MADE = 2_000_000

/** Values of which one stands for each turn of a comprehension: more are not looked into. */
const MOST_VALUES = 4096

/** How large a value can be: characters of its texts and number of its members, all together. */
export interface Measure {
  /** The mean, where it stands for one value after the other. */
  readonly size: number
  /** The largest of them. */
  readonly most: number
  /** Members of the largest list or map in it. */
  readonly count: number
  /** What it stands for, where that is known. */
  readonly values?: readonly JsonValue[]
}

const SMALL: Measure = { size: 1, most: 1, count: 1 }

interface Extent {
  readonly size: number
  readonly count: number
}

const extents = new WeakMap<object, Extent>()

function extentOf(value: JsonValue): Extent {
  if (typeof value === 'string') return { size: value.length + 1, count: 1 }
  if (typeof value !== 'object' || value === null) return { size: 1, count: 1 }
  const known = extents.get(value)
  if (known !== undefined) return known
  const members = Object.entries(value) as [string, JsonValue][]
  let size = 1
  let count = Math.max(1, members.length)
  for (const [name, member] of members) {
    const inner = extentOf(member)
    size += inner.size + (Array.isArray(value) ? 0 : name.length)
    count = Math.max(count, inner.count)
  }
  const extent = { size, count }
  extents.set(value, extent)
  return extent
}

/** Measures values as they are; one stands for each of them in turn. */
export function measureOf(values: readonly JsonValue[]): Measure {
  if (values.length === 0) return SMALL
  let [sum, most, count] = [0, 1, 1]
  for (const value of values) {
    const extent = extentOf(value)
    sum += extent.size
    most = Math.max(most, extent.size)
    count = Math.max(count, extent.count)
  }
  const known = values.length <= MOST_VALUES ? { values } : {}
  return { size: Math.ceil(sum / values.length), most, count, ...known }
}

/** The members that a comprehension goes through: of a map, its names. */
function membersOf(value: JsonValue): readonly JsonValue[] {
  if (typeof value !== 'object' || value === null) return []
  return Array.isArray(value) ? value : Object.keys(value)
}

/** What stands for each member of a list or map. */
function memberOf({ size, most, count, values }: Measure): Measure {
  if (values === undefined) return { size: Math.ceil(size / Math.max(1, count)), most, count }
  return measureOf(values.flatMap(membersOf))
}

/** How many members it has, in the mean. */
function lengthOf({ values, count }: Measure): number {
  if (values === undefined) return count
  return Math.max(
    1,
    values.reduce<number>((total, value) => total + membersOf(value).length, 0) / values.length,
  )
}

function sum(measures: readonly Measure[]): Measure {
  return {
    size: measures.reduce((total, { size }) => total + size, 1),
    most: measures.reduce((total, { most }) => total + most, 1),
    count: measures.reduce((total, { count }) => total + count, 0),
  }
}

function largest(measures: readonly Measure[]): Measure {
  return {
    size: Math.max(1, ...measures.map(({ size }) => size)),
    most: Math.max(1, ...measures.map(({ most }) => most)),
    count: Math.max(1, ...measures.map(({ count }) => count)),
  }
}

function fieldOf(from: Measure, read: (value: JsonValue) => JsonValue | undefined): Measure {
  const { values, ...rest } = from
  if (values === undefined) return rest
  return measureOf(values.map(read).filter(value => value !== undefined))
}

/** What any one of its members is at most. */
function someMemberOf({ most, count, values }: Measure): Measure {
  if (values === undefined) return { size: most, most, count }
  return measureOf(
    values.flatMap(value =>
      typeof value === 'object' && value !== null ? Object.values(value) : [],
    ) as JsonValue[],
  )
}

type Variables = ReadonlyMap<string, Measure>

/** @param fieldName the name that a rule's name of a field stands for */
export class CostEstimate {
  readonly #fieldName: (name: string, value: JsonValue) => string
  #steps = 0
  #times = 1

  constructor(fieldName: (name: string, value: JsonValue) => string) {
    this.#fieldName = fieldName
  }

  /** Infinitely many steps for a rule that could make something too large. */
  of(ast: ASTNode, variables: Variables): number {
    this.#steps = 0
    this.#times = 1
    this.#visit(ast, variables)
    return this.#steps
  }

  #spend(steps: number): void {
    this.#steps += steps * this.#times
  }

  /** Notes that something is made. */
  #make(made: Measure): Measure {
    this.#spend(made.size / READ_IN_STEP)
    if (made.most > LARGEST_MADE || made.size > LARGEST_MADE) this.#steps = Number.POSITIVE_INFINITY
    return made
  }

  #visit(node: ASTNode, variables: Variables): Measure {
    this.#spend(1)
    const visit = (inner: ASTNode) => this.#visit(inner, variables)
    switch (node.op) {
      case 'value':
        return typeof node.args === 'string' ? measureOf([node.args]) : SMALL
      case 'id':
        return variables.get(node.args) ?? SMALL
      case '.':
      case '.?': {
        const [receiver, name] = node.args
        return fieldOf(visit(receiver), value =>
          isJsonObject(value) ? ownMember(value, this.#fieldName(name, value)) : undefined,
        )
      }
      case '[]':
      case '[?]': {
        const [receiver, index] = node.args
        const from = visit(receiver)
        visit(index)
        const { op, args } = index
        if (op !== 'value') return someMemberOf(from)
        return fieldOf(from, value =>
          typeof value === 'object' && value !== null
            ? (value as Record<string, JsonValue>)[String(args)]
            : undefined,
        )
      }
      case 'list':
        return this.#make({ ...sum(node.args.map(visit)), count: Math.max(1, node.args.length) })
      case 'map':
        return this.#make(sum(node.args.flatMap(([key, value]) => [visit(key), visit(value)])))
      case '?:': {
        const [condition, one, other] = node.args
        visit(condition)
        return largest([visit(one), visit(other)])
      }
      case '!_':
      case '-_':
        visit(node.args)
        return SMALL
      case 'call':
        return this.#function(node.args[0], node.args[1].map(visit))
      case 'rcall':
        return this.#method(node.args, variables)
      default: {
        const [left, right] = [visit(node.args[0]), visit(node.args[1])]
        if (node.op === '+') return this.#make(sum([left, right]))
        this.#spend((left.size + right.size) / READ_IN_STEP)
        return SMALL
      }
    }
  }

  #method([name, receiver, args]: [string, ASTNode, ASTNode[]], variables: Variables): Measure {
    if (name === 'bind' && receiver.op === 'id' && receiver.args === 'cel') {
      const [variable, init, body] = args
      if (variable?.op !== 'id' || init === undefined || body === undefined) return SMALL
      const inner = new Map(variables).set(variable.args, this.#visit(init, variables))
      return this.#visit(body, inner)
    }
    const from = this.#visit(receiver, variables)
    if (ITERATING.has(name)) return this.#comprehension(name, from, args, variables)
    const measures = args.map(arg => this.#visit(arg, variables))
    if (name === 'matchesLinear' || name === 'find' || name === 'findAll') {
      const [pattern] = args
      const program =
        pattern?.op === 'value' && typeof pattern.args === 'string' ? sizeOf(pattern.args) : LONG_PROGRAM
      this.#spend((from.size * program) / MATCHED_IN_STEP)
      return { ...from, count: from.most }
    }
    switch (name) {
      case 'split':
        return this.#make({ size: from.size, most: from.most, count: from.most + 1 })
      case 'join': {
        const most = from.most + from.count * (measures[0]?.most ?? 0)
        return this.#make({ size: most, most, count: 1 })
      }
      case 'replace': {
        const most = Math.min(LONGEST_TEXT, from.most * (measures[1]?.most ?? 1))
        this.#spend(from.size / READ_IN_STEP)
        return this.#make({ size: most, most, count: 1 })
      }
      default:
        return this.#function(name, [from, ...measures])
    }
  }

  #function(name: string, inputs: readonly Measure[]): Measure {
    const all = sum(inputs)
    if (name === 'has') return SMALL
    this.#spend(all.size / READ_IN_STEP)
    return name === 'size' ? SMALL : this.#make({ ...all, count: largest(inputs).count })
  }

  /** The body once for every member; whatever names it binds stand for members. */
  #comprehension(name: string, from: Measure, args: readonly ASTNode[], variables: Variables): Measure {
    const member = memberOf(from)
    const inner = new Map(variables)
    for (const arg of args.slice(0, -1)) if (arg.op === 'id') inner.set(arg.args, member)
    const times = Math.max(1, lengthOf(from))
    const outside = this.#times
    this.#times *= times
    const bodies = args.filter((arg, index) => index === args.length - 1 || arg.op !== 'id')
    const made = bodies.map(body => this.#visit(body, inner)).at(-1) ?? SMALL
    this.#times = outside
    if (name === 'filter') return from
    if (!MAKING.has(name)) return SMALL
    const size = times * made.size
    return this.#make({ size, most: Math.max(size, made.most), count: Math.max(times, made.count) })
  }
}

function sizeOf(pattern: string): number {
  try {
    return compilePattern(pattern).programSize()
  } catch {
    // The call itself says what is wrong with it.
    return LONG_PROGRAM
  }
}

const MAKING: ReadonlySet<string> = new Set(['map', 'transformList', 'transformMap', 'optMap', 'optFlatMap'])
/** Calls whose last arguments are done once for each member. */
const ITERATING: ReadonlySet<string> = new Set([
  ...MAKING,
  'all',
  'exists',
  'exists_one',
  'existsOne',
  'filter',
])
