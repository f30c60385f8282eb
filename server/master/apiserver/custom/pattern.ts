/**
 * Regular expressions of schemas and rules (RE2's syntax). They come from whoever may define kinds, and all clusters
 * share this process: matching takes time in proportion to the text, which JavaScript's own expressions do not promise.
 */
import { RE2JS } from 're2js'

/** Instructions of all compiled ones that are remembered; each takes about 200 bytes. */
const REMEMBERED = 200_000
const LONGEST_PATTERN = 4096
/** Instructions times characters of one search: linear, but by a factor that whoever writes the expression chooses. */
const MOST_STEPS = 50_000_000

/** In order of last use. */
const compiled = new Map<string, RE2JS>()
let instructions = 0

/** @throws when the expression cannot be read */
export function compilePattern(expression: string): RE2JS {
  const present = compiled.get(expression)
  if (present !== undefined) {
    compiled.delete(expression)
    compiled.set(expression, present)
    return present
  }
  if (expression.length > LONGEST_PATTERN) throw new RangeError('the expression is too long')
  const made = RE2JS.compile(expression)
  compiled.set(expression, made)
  instructions += made.programSize()
  for (const [oldest, program] of compiled) {
    if (instructions <= REMEMBERED) break
    compiled.delete(oldest)
    instructions -= program.programSize()
  }
  return made
}

/** Steps that a search takes at most, of some nanoseconds each. @throws when the expression cannot be read */
export function searchSteps(expression: string, text: string): number {
  return compilePattern(expression).programSize() * (text.length + 1)
}

/** @throws `RangeError` for a search that would take too long */
function searchIn(expression: string, text: string) {
  if (searchSteps(expression, text) > MOST_STEPS) throw new RangeError('the search would take too long')
  return compilePattern(expression).matcher(text)
}

/** Whether a text has a match anywhere. @throws when the expression cannot be read, or would take too long */
export function matchesPattern(expression: string, text: string): boolean {
  return searchIn(expression, text).find()
}

/**
 * The first match of an expression, or every one of them up to so many.
 *
 * @throws when the expression cannot be read, or would take too long
 */
export function findMatches(expression: string, text: string, most: number): string[] {
  const matcher = searchIn(expression, text)
  const found: string[] = []
  while (found.length < most && matcher.find()) found.push(matcher.group() ?? '')
  return found
}
