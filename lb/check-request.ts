/** The request line of a health check, the way compose files have it since 2015. */
import { lbErrors } from './errors.ts'
import type { CheckRequest } from './model.ts'

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/** Words as HAProxy's own configuration splits them: quotes and backslashes keep spaces. */
function wordsOf(line: string): string[] {
  const words: string[] = []
  let word: string | undefined
  let quote = ''
  for (let index = 0; index < line.length; index += 1) {
    const character = line[index] as string
    if (character === '\\' && quote !== "'") {
      index += 1
      const escaped = line[index] ?? ''
      word = (word ?? '') + (escaped === 'r' ? '\r' : escaped === 'n' ? '\n' : escaped)
    } else if (quote !== '') {
      if (character === quote) quote = ''
      else word = (word ?? '') + character
    } else if (character === '"' || character === "'") {
      quote = character
      word ??= ''
    } else if (character === ' ' || character === '\t') {
      if (word !== undefined) words.push(word)
      word = undefined
    } else word = (word ?? '') + character
  }
  if (word !== undefined) words.push(word)
  return words
}

/**
 * Takes a request line apart: `GET /ping HTTP/1.0`, `GET "/ping" "HTTP/1.0"`, `OPTIONS /`, `/ping`; with headers behind the
 * version: `GET / HTTP/1.1\r\nHost:\ www`.
 *
 * @throws `InvalidModel` when it would not be one request
 */
export function parseCheckRequest(line: string): CheckRequest {
  const invalid = (expected: string) =>
    lbErrors.InvalidModel({ object: `request line ${JSON.stringify(line.slice(0, 120))}`, expected })
  const words = wordsOf(line.trim())
  if (words.length === 0) throw invalid('a method and a path')
  // HAProxy's rule: a single word is the path.
  const [method = 'OPTIONS', uri = '/', ...rest] = words.length === 1 ? ['OPTIONS', ...words] : words
  const [version = 'HTTP/1.0', ...headerLines] = (rest.length === 0 ? 'HTTP/1.0' : rest.join(' ')).split(
    /\r?\n/,
  )
  if (!TOKEN.test(method)) throw invalid('a method of letters')
  if (!/^[\u0021-\u007e]+$/.test(uri)) throw invalid('a path without spaces')
  if (!/^HTTP\/1\.[01]$/.test(version)) throw invalid('version HTTP/1.0 or HTTP/1.1')
  const headers = headerLines
    .filter(text => text !== '')
    .map((text): readonly [string, string] => {
      const [, name = '', value = ''] = /^([^:]*):\s*(.*)$/.exec(text) ?? []
      if (!TOKEN.test(name)) throw invalid('headers as NAME: VALUE')
      return [name, value]
    })
  return { method, uri, version, headers }
}
