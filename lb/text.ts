/** Words of HAProxy's configuration language. Nothing that comes from outside reaches a file but through these. */
import { lbErrors } from './errors.ts'

/** Longest text that is put into a configuration. */
const LONGEST = 4096

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there; a line end begins a directive
const CONTROL = /[\u0000-\u001f\u007f\u0085\u2028\u2029]/

/** The text, when it may stand on one line. @throws `InvalidModel` */
export function requireOneLine(text: string, object: string): string {
  if (text.length > LONGEST || CONTROL.test(text)) {
    throw lbErrors.InvalidModel({
      object,
      expected: `at most ${LONGEST} characters without control characters`,
    })
  }
  return text
}

/**
 * One word that means exactly `text`: between single quotes HAProxy changes nothing (its configuration manual, 2.2).
 *
 * @throws `InvalidModel` for text with control characters, or longer than 4096
 */
export function quoted(text: string): string {
  return `'${requireOneLine(text, 'text').replaceAll("'", "'\\''")}'`
}

/** One word of a log format that means exactly `text`: there a percent sign begins a variable. */
export function quotedFormat(text: string): string {
  return quoted(text.replaceAll('%', '%%'))
}

/** A name that may stand unquoted. @throws `InvalidModel` */
export function requireName(name: string, object: string): string {
  if (!/^[A-Za-z0-9_.:-]{1,200}$/.test(name)) {
    throw lbErrors.InvalidModel({
      object: `${object} ${JSON.stringify(name.slice(0, 80))}`,
      expected: 'letters, digits and _ . : -',
    })
  }
  return name
}

/** An integer within bounds. @throws `InvalidModel` */
export function requireInteger(value: number, minimum: number, maximum: number, object: string): number {
  if (!Number.isInteger(value) || value < minimum || value > maximum) {
    throw lbErrors.InvalidModel({
      object: `${object} ${value}`,
      expected: `an integer from ${minimum} to ${maximum}`,
    })
  }
  return value
}
