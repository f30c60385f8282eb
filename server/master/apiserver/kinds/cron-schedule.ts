/** Schedules of cron jobs: five fields, names of months and days, steps, `@hourly` and its like (crontab(5)). */

export interface CronSchedule {
  readonly minutes: ReadonlySet<number>
  readonly hours: ReadonlySet<number>
  readonly days: ReadonlySet<number>
  readonly months: ReadonlySet<number>
  readonly weekdays: ReadonlySet<number>
}

interface FieldForm {
  readonly name: string
  readonly from: number
  readonly to: number
  readonly names?: readonly string[]
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

const FIELDS: readonly [FieldForm, FieldForm, FieldForm, FieldForm, FieldForm] = [
  { name: 'minute', from: 0, to: 59 },
  { name: 'hour', from: 0, to: 23 },
  { name: 'day of month', from: 1, to: 31 },
  { name: 'month', from: 1, to: 12, names: MONTHS },
  { name: 'day of week', from: 0, to: 6, names: WEEKDAYS },
]

const MACROS: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
}

function parseValue(text: string, form: FieldForm): number {
  const named = form.names?.indexOf(text.toLowerCase()) ?? -1
  if (named >= 0) return named + (form.from === 1 ? 1 : 0)
  // Sunday has two numbers.
  const value = form.name === 'day of week' && text === '7' ? 0 : Number(text)
  if (!/^\d{1,2}$/.test(text) || value < form.from || value > form.to) {
    throw new Error(
      `${form.name}: expected ${form.from} to ${form.to}, found ${JSON.stringify(text.slice(0, 20))}`,
    )
  }
  return value
}

function parsePart(part: string, form: FieldForm, into: Set<number>): void {
  const [range = '', stepText, ...rest] = part.split('/')
  if (rest.length > 0)
    throw new Error(`${form.name}: too many slashes in ${JSON.stringify(part.slice(0, 20))}`)
  const step = stepText === undefined ? 1 : Number(stepText)
  if (stepText !== undefined && (!/^\d{1,3}$/.test(stepText) || step < 1)) {
    throw new Error(
      `${form.name}: a step must be a positive number, found ${JSON.stringify(stepText.slice(0, 20))}`,
    )
  }
  const [first = '', second, ...more] = range.split('-')
  if (more.length > 0)
    throw new Error(`${form.name}: too many hyphens in ${JSON.stringify(part.slice(0, 20))}`)
  const all = first === '*' || first === '?'
  const from = all ? form.from : parseValue(first, form)
  const open = all || (second === undefined && stepText !== undefined)
  const to = open ? form.to : parseValue(second ?? first, form)
  if (to < from) throw new Error(`${form.name}: a range must not end before it begins: ${part.slice(0, 20)}`)
  for (let value = from; value <= to; value += step) into.add(value)
}

/**
 * @throws an `Error` that names the field and what was expected
 */
export function parseCronSchedule(text: string): CronSchedule {
  const expanded = MACROS[text.trim()] ?? text.trim()
  const parts = expanded.split(/\s+/)
  if (parts.length !== FIELDS.length) {
    throw new Error(`expected exactly 5 fields, found ${parts.length}: ${JSON.stringify(text.slice(0, 80))}`)
  }
  const [minutes, hours, days, months, weekdays] = FIELDS.map((form, index) => {
    const values = new Set<number>()
    for (const part of (parts[index] ?? '').split(',')) parsePart(part, form, values)
    return values
  }) as [Set<number>, Set<number>, Set<number>, Set<number>, Set<number>]
  return { minutes, hours, days, months, weekdays }
}
