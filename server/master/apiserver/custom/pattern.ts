/**
 * Regular expressions of schemas and rules (RE2's syntax). They come from whoever may define kinds, and all clusters
 * share this process: matching takes time in proportion to the text, which JavaScript's own expressions do not promise.
 */
import { RE2JS } from 're2js'

/** Compiled ones that are remembered. */
const REMEMBERED = 1024
const LONGEST_PATTERN = 4096

const compiled = new Map<string, RE2JS>()

/** @throws when the expression cannot be read */
export function compilePattern(expression: string): RE2JS {
  const present = compiled.get(expression)
  if (present !== undefined) return present
  if (expression.length > LONGEST_PATTERN) throw new RangeError('the expression is too long')
  const made = RE2JS.compile(expression)
  const [oldest] = compiled.keys()
  if (compiled.size >= REMEMBERED && oldest !== undefined) compiled.delete(oldest)
  compiled.set(expression, made)
  return made
}

/** Whether a text has a match anywhere. @throws when the expression cannot be read */
export function matchesPattern(expression: string, text: string): boolean {
  return compilePattern(expression).matcher(text).find()
}

/** The first match of an expression, or every one of them up to so many. @throws when the expression cannot be read */
export function findMatches(expression: string, text: string, most: number): string[] {
  const matcher = compilePattern(expression).matcher(text)
  const found: string[] = []
  while (found.length < most && matcher.find()) found.push(matcher.group() ?? '')
  return found
}
