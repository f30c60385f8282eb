/** Label selectors inside of objects (`matchLabels`, `matchExpressions`): matched, and written as text. */
import type { Frozen } from '../json.ts'
import type { LabelSelector } from '../objects.ts'

export function isEmptySelector(selector: Frozen<LabelSelector> | undefined): boolean {
  return (
    Object.keys(selector?.matchLabels ?? {}).length === 0 && (selector?.matchExpressions ?? []).length === 0
  )
}

/** Whether a selector chooses something with these labels. */
export function selectorMatches(
  { matchLabels, matchExpressions }: Frozen<LabelSelector>,
  labels: Readonly<Record<string, string>>,
): boolean {
  const has = (key: string) => Object.hasOwn(labels, key)
  return (
    Object.entries(matchLabels ?? {}).every(([key, value]) => has(key) && labels[key] === value) &&
    (matchExpressions ?? []).every(({ key, operator, values = [] }) => {
      switch (operator) {
        case 'In':
          return has(key) && values.includes(labels[key] ?? '')
        case 'NotIn':
          return !has(key) || !values.includes(labels[key] ?? '')
        case 'Exists':
          return has(key)
        default:
          return !has(key)
      }
    })
  )
}

/** As in a query: `app=web,tier in (a,b),!old`. */
export function selectorText(selector: Frozen<LabelSelector> | undefined): string {
  const parts = Object.entries(selector?.matchLabels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .sort()
  for (const { key, operator, values = [] } of selector?.matchExpressions ?? []) {
    const list = `(${values.toSorted().join(',')})`
    if (operator === 'In') parts.push(`${key} in ${list}`)
    else if (operator === 'NotIn') parts.push(`${key} notin ${list}`)
    else parts.push(operator === 'Exists' ? key : `!${key}`)
  }
  return parts.join(',')
}
