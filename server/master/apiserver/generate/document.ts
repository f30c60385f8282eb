/** Typed steps into documents whose form is only known from their specification. */
import { apiServerErrors } from '../errors.ts'

/** @throws `UnreadableSource` naming `object` when `value` is not a JSON object */
export function asRecord(value: unknown, object: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw apiServerErrors.UnreadableSource({ object, expected: 'a JSON object' })
  return value as Record<string, unknown>
}

/** @throws `UnreadableSource` naming `object` when `value` is not a list */
export function asList(value: unknown, object: string): readonly unknown[] {
  if (!Array.isArray(value)) throw apiServerErrors.UnreadableSource({ object, expected: 'a list' })
  return value
}

/** @throws `UnreadableSource` naming `object` when `value` is not a string */
export function asString(value: unknown, object: string): string {
  if (typeof value !== 'string') throw apiServerErrors.UnreadableSource({ object, expected: 'a string' })
  return value
}

/** A list of strings; empty when absent. */
export function asStrings(value: unknown, object: string): string[] {
  return value === undefined ? [] : asList(value, object).map(item => asString(item, object))
}
