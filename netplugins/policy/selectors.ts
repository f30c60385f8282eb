/** Selectors of containers by their labels: those of the 2017 system as text, those of Kubernetes as objects. */
import { networkErrors } from '../errors.ts'

export type Labels = Readonly<Record<string, string>>

export type LabelPredicate = (labels: Labels) => boolean

const KEY = '[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?'
const COMPARISON = new RegExp(`^(${KEY})\\s*(!=|==|=)\\s*(.*)$`)
const MEMBERSHIP = new RegExp(`^(${KEY})\\s+(in|notin)\\s*\\(([^()]*)\\)$`)
const EXISTENCE = new RegExp(`^(!?)\\s*(${KEY})$`)

/** Splits at the commas that are not inside of parentheses. */
function requirementsOf(text: string): string[] {
  return text
    .split(/,(?![^(]*\))/)
    .map(part => part.trim())
    .filter(part => part !== '')
}

function readRequirement(text: string, selector: string): LabelPredicate {
  const membership = MEMBERSHIP.exec(text)
  if (membership !== null) {
    const [, key = '', operator, list = ''] = membership
    const values = new Set(list.split(',').map(value => value.trim()))
    const isIn = (labels: Labels) => labels[key] !== undefined && values.has(labels[key])
    return operator === 'in' ? isIn : labels => !isIn(labels)
  }
  const comparison = COMPARISON.exec(text)
  if (comparison !== null) {
    const [, key = '', operator, value = ''] = comparison
    return operator === '!=' ? labels => labels[key] !== value : labels => labels[key] === value
  }
  const existence = EXISTENCE.exec(text)
  if (existence !== null) {
    const [, not, key = ''] = existence
    return not === '' ? labels => labels[key] !== undefined : labels => labels[key] === undefined
  }
  throw networkErrors.InvalidPolicy({
    object: `selector ${JSON.stringify(selector.slice(0, 200))}`,
    message: `cannot be read at ${JSON.stringify(text.slice(0, 80))}`,
    expected: 'key=value, key!=value, key in (a, b), key notin (a, b), key or !key, joined by commas',
  })
}

/**
 * Reads a selector such as `tier=web, env in (test, prod), !legacy`: all of its parts must hold.
 *
 * @throws `InvalidPolicy`
 */
export function readSelector(selector: string): LabelPredicate {
  const requirements = requirementsOf(selector).map(part => readRequirement(part, selector))
  return labels => requirements.every(requirement => requirement(labels))
}

/** `LabelSelector` of Kubernetes. An empty one selects everything. */
export interface LabelSelector {
  readonly matchLabels?: Labels
  readonly matchExpressions?: readonly {
    readonly key: string
    readonly operator: string
    readonly values?: readonly string[]
  }[]
}

/** @throws `InvalidPolicy` for an operator that does not exist */
export function labelPredicate({ matchLabels = {}, matchExpressions = [] }: LabelSelector): LabelPredicate {
  const equal = Object.entries(matchLabels)
  const expressions = matchExpressions.map(({ key, operator, values = [] }): LabelPredicate => {
    switch (operator) {
      case 'In':
        return labels => labels[key] !== undefined && values.includes(labels[key])
      case 'NotIn':
        return labels => labels[key] === undefined || !values.includes(labels[key])
      case 'Exists':
        return labels => labels[key] !== undefined
      case 'DoesNotExist':
        return labels => labels[key] === undefined
      default:
        throw networkErrors.InvalidPolicy({
          object: `label selector of ${key}`,
          message: `has the operator ${operator}`,
          expected: 'In, NotIn, Exists or DoesNotExist',
        })
    }
  })
  return labels =>
    equal.every(([key, value]) => labels[key] === value) && expressions.every(matches => matches(labels))
}
