/** When a schedule is due (crontab(5)), in a time zone. Pure; times are milliseconds since 1970. */
import type { CronSchedule } from '../apiserver/index.ts'

const MINUTE = 60_000
const DAY = 86_400_000
/** 29 February of a certain weekday comes after 40 years at most. */
const LONGEST_SEARCH = 366 * 41

const formats = new Map<string, Intl.DateTimeFormat>()

function formatOf(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
    formats.set(timeZone, format)
  }
  return format
}

/** What a clock on the wall of the time zone shows, as if it were UTC. */
function wallTime(time: number, timeZone: string): number {
  if (timeZone === 'UTC') return time
  const parts = new Map(
    formatOf(timeZone)
      .formatToParts(time)
      .map(({ type, value }) => [type, Number(value)]),
  )
  const part = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? 0
  return Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second'))
}

/** The moment at which the wall shows a time; undefined for one that the change to summer time leaves out. */
function momentOf(wall: number, timeZone: string): number | undefined {
  if (timeZone === 'UTC') return wall
  // Offsets change seldom, so that one of the days beside knows the right one.
  for (const near of [wall - DAY, wall + DAY]) {
    const moment = wall - (wallTime(near, timeZone) - near)
    if (wallTime(moment, timeZone) === wall) return moment
  }
  return undefined
}

function isDay({ days, months, weekdays }: CronSchedule, wall: number): boolean {
  const date = new Date(wall)
  if (!months.has(date.getUTCMonth() + 1)) return false
  const day = days.has(date.getUTCDate())
  const weekday = weekdays.has(date.getUTCDay())
  // A day of either kind is enough when both are named.
  return days.size < 31 && weekdays.size < 7 ? day || weekday : day && weekday
}

/**
 * The first moment after `after` at which a schedule is due.
 *
 * @param timeZone of the IANA database
 * @returns undefined for a schedule that never is
 */
export function nextTime(schedule: CronSchedule, after: number, timeZone: string): number | undefined {
  const begin = Math.floor(wallTime(after, timeZone) / MINUTE) * MINUTE
  const midnight = Math.floor(begin / DAY) * DAY
  const hours = [...schedule.hours].toSorted((a, b) => a - b)
  const minutes = [...schedule.minutes].toSorted((a, b) => a - b)
  for (let days = 0; days < LONGEST_SEARCH; days += 1) {
    const day = midnight + days * DAY
    if (!isDay(schedule, day)) continue
    for (const hour of hours) {
      for (const minute of minutes) {
        const wall = day + (hour * 60 + minute) * MINUTE
        if (wall < begin) continue
        const moment = momentOf(wall, timeZone)
        if (moment !== undefined && moment > after) return moment
      }
    }
  }
  return undefined
}

/** Times looked at one by one before the search gives up and takes a later start. */
const MOST_MISSED = 100

/**
 * The last moment in a stretch of time at which a schedule was due.
 *
 * @returns undefined when it was not; `many` when there were more than anybody would want to make up for
 */
export function lastTime(
  schedule: CronSchedule,
  after: number,
  until: number,
  timeZone: string,
): { readonly at: number; readonly many: boolean } | undefined {
  let last: number | undefined
  let count = 0
  for (
    let next = nextTime(schedule, after, timeZone);
    next !== undefined && next <= until;
    next = nextTime(schedule, next, timeZone)
  ) {
    last = next
    count += 1
    if (count > MOST_MISSED) return lastOfMany(schedule, next, until, timeZone)
  }
  return last === undefined ? undefined : { at: last, many: false }
}

/** Looks back from the end, in growing steps. */
function lastOfMany(
  schedule: CronSchedule,
  after: number,
  until: number,
  timeZone: string,
): { readonly at: number; readonly many: boolean } {
  for (let back = MINUTE; until - back > after; back *= 2) {
    let last: number | undefined
    for (
      let next = nextTime(schedule, until - back, timeZone);
      next !== undefined && next <= until;
      next = nextTime(schedule, next, timeZone)
    )
      last = next
    if (last !== undefined) return { at: last, many: true }
  }
  return { at: after, many: true }
}
