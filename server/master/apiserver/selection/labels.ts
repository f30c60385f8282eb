/** Label selectors in their text form (Kubernetes "Labels and Selectors"): `a=b,c!=d,e in (f,g),h notin (i),j,!k`. */
import { checkLabelValue, checkQualifiedName } from '../names.ts'
import { badRequest } from '../status.ts'

export type LabelRequirement =
  | { readonly operator: 'in' | 'notin'; readonly key: string; readonly values: ReadonlySet<string> }
  | { readonly operator: 'exists' | 'absent'; readonly key: string }

export type Labels = Readonly<Record<string, string>> | undefined

const TOKEN = /\s*(==|!=|=|,|\(|\)|!|[^\s=!,()]+)/y
const SYMBOLS = new Set(['==', '!=', '=', ',', '(', ')', '!'])

class LabelSelectorParser {
  readonly #text: string
  readonly #tokens: string[] = []
  #next = 0

  constructor(text: string) {
    this.#text = text
    const token = new RegExp(TOKEN)
    const end = text.trimEnd().length
    while (token.lastIndex < end) {
      const match = token.exec(text)
      if (match === null) throw this.#refuse('unexpected character')
      this.#tokens.push(match[1] as string)
    }
  }

  #refuse(why: string) {
    return badRequest(`unable to parse requirement in label selector ${JSON.stringify(this.#text)}: ${why}`)
  }

  #take(): string | undefined {
    const token = this.#tokens[this.#next]
    this.#next += 1
    return token
  }

  #word(): string | undefined {
    const token = this.#tokens[this.#next]
    if (token === undefined || SYMBOLS.has(token)) return undefined
    this.#next += 1
    return token
  }

  #key(): string {
    const key = this.#word()
    if (key === undefined) throw this.#refuse('expected a label key')
    const problem = checkQualifiedName(key)
    if (problem !== undefined) throw this.#refuse(problem)
    return key
  }

  #value(): string {
    const value = this.#word() ?? ''
    const problem = checkLabelValue(value)
    if (problem !== undefined) throw this.#refuse(problem)
    return value
  }

  #values(): Set<string> {
    if (this.#take() !== '(') throw this.#refuse("expected '(' after in or notin")
    const values = new Set<string>()
    for (;;) {
      values.add(this.#value())
      const token = this.#take()
      if (token === ')') return values
      if (token !== ',') throw this.#refuse("expected ',' or ')' in a set of values")
    }
  }

  #requirement(): LabelRequirement {
    if (this.#tokens[this.#next] === '!') {
      this.#next += 1
      return { operator: 'absent', key: this.#key() }
    }
    const key = this.#key()
    switch (this.#tokens[this.#next]) {
      case undefined:
      case ',':
        return { operator: 'exists', key }
      case '=':
      case '==':
        this.#next += 1
        return { operator: 'in', key, values: new Set([this.#value()]) }
      case '!=':
        this.#next += 1
        return { operator: 'notin', key, values: new Set([this.#value()]) }
      case 'in':
        this.#next += 1
        return { operator: 'in', key, values: this.#values() }
      case 'notin':
        this.#next += 1
        return { operator: 'notin', key, values: this.#values() }
      default:
        throw this.#refuse(`unknown operator ${JSON.stringify(this.#tokens[this.#next])}`)
    }
  }

  parse(): LabelRequirement[] {
    const requirements: LabelRequirement[] = []
    while (this.#next < this.#tokens.length) {
      requirements.push(this.#requirement())
      const token = this.#take()
      if (token !== undefined && token !== ',') throw this.#refuse("expected ','")
      if (token === ',' && this.#next === this.#tokens.length) throw this.#refuse('expected a label key')
    }
    return requirements
  }
}

/** @throws `BadRequest` naming what cannot be read */
export function parseLabelSelector(text: string): LabelRequirement[] {
  return text === '' ? [] : new LabelSelectorParser(text).parse()
}

function meets(labels: Labels, requirement: LabelRequirement): boolean {
  const { key, operator } = requirement
  const value = labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined
  switch (operator) {
    case 'exists':
      return value !== undefined
    case 'absent':
      return value === undefined
    case 'in':
      return value !== undefined && requirement.values.has(value)
    case 'notin':
      return value === undefined || !requirement.values.has(value)
  }
}

export function matchesLabels(labels: Labels, requirements: readonly LabelRequirement[]): boolean {
  return requirements.every(requirement => meets(labels, requirement))
}
