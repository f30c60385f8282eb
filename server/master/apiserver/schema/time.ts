/** `meta/v1` Time and MicroTime: RFC 3339, kept in UTC with whole seconds or six digits. */

const PATTERN = /^(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})$/

function parts(text: string): { seconds: string; fraction: string } | undefined {
  const match = PATTERN.exec(text)
  if (match === null) return undefined
  const [, date = '', time = '', fraction = '', zone = ''] = match
  const milliseconds = Date.parse(`${date}T${time}${zone.toUpperCase()}`)
  if (Number.isNaN(milliseconds)) return undefined
  const iso = new Date(milliseconds).toISOString()
  // Date.parse takes 31 April for 1 May.
  if (zone.toUpperCase() === 'Z' && !iso.startsWith(date)) return undefined
  return { seconds: iso.slice(0, 19), fraction }
}

/** `2026-01-02T03:04:05Z`; undefined when `text` is not a time. */
export function canonicalTime(text: string): string | undefined {
  const time = parts(text)
  return time === undefined ? undefined : `${time.seconds}Z`
}

/** `2026-01-02T03:04:05.123456Z`; undefined when `text` is not a time. */
export function canonicalMicroTime(text: string): string | undefined {
  const time = parts(text)
  return time === undefined ? undefined : `${time.seconds}.${time.fraction.padEnd(6, '0').slice(0, 6)}Z`
}

/** Milliseconds since 1970 as a Time. */
export function formatTime(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`
}
