/** Replaces the variables of compose files by their values. */
import { COMPOSE_VARIABLE } from '../../protocol/index.ts'
import { composeErrors } from './errors.ts'

/** Replaces the variables of one text. A variable without value becomes empty. @throws `InvalidValue` */
function interpolate(text: string, values: Readonly<Record<string, string>>, place: string): string {
  return text.replace(
    COMPOSE_VARIABLE,
    (whole, dollar, plain, braced, operator: string | undefined, fallback: string | undefined) => {
      if (dollar !== undefined) return '$'
      const name: string | undefined = plain ?? braced
      if (name === undefined) {
        throw composeErrors.InvalidValue({
          object: place,
          message: `has an invalid variable near "${whole}"`,
          mend: 'write $$ for a dollar sign',
        })
      }
      const value = values[name]
      if (operator === '-') return value ?? fallback ?? ''
      if (operator === ':-') return value === undefined || value === '' ? (fallback ?? '') : value
      return value ?? ''
    },
  )
}

/** Interpolates every text inside a parsed value; keys stay as they are. */
export function interpolateValue(
  value: unknown,
  values: Readonly<Record<string, string>>,
  placeOf: (path: readonly (string | number)[]) => string,
  path: readonly (string | number)[] = [],
): unknown {
  if (typeof value === 'string')
    return value.includes('$') ? interpolate(value, values, placeOf(path)) : value
  if (Array.isArray(value)) {
    return value.map((item, index) => interpolateValue(item, values, placeOf, [...path, index]))
  }
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [
        key,
        interpolateValue(item, values, placeOf, [...path, key]),
      ]),
    )
  }
  return value
}
