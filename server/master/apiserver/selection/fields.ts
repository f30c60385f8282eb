/** Field selectors: `spec.nodeName=n1,status.phase!=Running`; backslash before `,`, `=` and itself. */
import { badRequest } from '../status.ts'

export interface FieldRequirement {
  readonly field: string
  readonly equal: boolean
  readonly value: string
}

function splitTerms(text: string): string[] {
  const terms: string[] = []
  let term = ''
  for (let index = 0; index < text.length; index += 1) {
    const character = text.charAt(index)
    if (character === '\\') {
      term += character + text.charAt(index + 1)
      index += 1
    } else if (character === ',') {
      terms.push(term)
      term = ''
    } else term += character
  }
  terms.push(term)
  return terms.filter(term => term !== '')
}

function unescapeValue(text: string, selector: string): string {
  return text.replaceAll(/\\(.?)/gs, (_, character: string) => {
    if (character === '\\' || character === ',' || character === '=') return character
    throw badRequest(`invalid field selector ${JSON.stringify(selector)}: invalid escape sequence`)
  })
}

/** @throws `BadRequest` when it cannot be read or names a field that `selectable` does not have */
export function parseFieldSelector(
  text: string,
  selectable: { has(field: string): boolean },
): FieldRequirement[] {
  return splitTerms(text).map(term => {
    const match = /^([^=!]+)(==|!=|=)(.*)$/s.exec(term)
    if (match === null) {
      throw badRequest(`invalid selector: ${JSON.stringify(text)}; can't understand ${JSON.stringify(term)}`)
    }
    const [, field = '', operator, value = ''] = match
    if (!selectable.has(field)) throw badRequest(`field label not supported: ${field}`)
    return { field, equal: operator !== '!=', value: unescapeValue(value, text) }
  })
}
