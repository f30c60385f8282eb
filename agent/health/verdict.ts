/** What this host says of one run of a container: decisions, without clocks or sockets. */

import type { HealthVerdict } from '../../protocol/index.ts'

export type Verdict = HealthVerdict['verdict']

/** What HAProxy says of a server. `undecided`: too few checks so far, or none. */
export type Reading = 'up' | 'down' | 'undecided'

/** How often a verdict may change within the window before changes to `up` are believed later. */
const CALM_CHANGES = 4
const WINDOW = 120_000

/** Milliseconds that a flapping container must stay up: the first, and the longest. */
const FIRST_HOLD = 2_000
const LONGEST_HOLD = 60_000

/** Results of checks that succeeded, and of those that have not been yet, in HAProxy's column `check_status`. */
const NOT_FAILED = /^\*? ?(?:L4OK|L6OK|L7OK|L7OKC|INI|UNK|)$/

/**
 * Reads HAProxy's columns `status` and `check_status`.
 *
 * @param decidable whether there was time for as many checks as it takes to call it down
 */
export function readingOf(status: string, checkStatus: string, before: Verdict, decidable: boolean): Reading {
  if (status === 'UP' || status.startsWith('UP ')) return 'up'
  // Rising: not up yet, and as down as it was.
  if (status.startsWith('DOWN ')) return before === 'down' ? 'down' : 'undecided'
  if (status !== 'DOWN') return 'undecided'
  if (before !== 'unknown') return 'down'
  return decidable && !NOT_FAILED.test(checkStatus) ? 'down' : 'undecided'
}

export interface TargetState {
  readonly verdict: Verdict
  /** When the verdict changed lately, in milliseconds of a monotonic clock; oldest first. */
  readonly changes: readonly number[]
  /** Since when it is up without having been called so, while it flaps. */
  readonly upSince?: number
}

export const NEW_TARGET: TargetState = { verdict: 'unknown', changes: [] }

/** Milliseconds that a container must stay up after so many changes. */
export function holdAfter(changes: number): number {
  if (changes < CALM_CHANGES) return 0
  return Math.min(FIRST_HOLD * 2 ** (changes - CALM_CHANGES), LONGEST_HOLD)
}

export interface Decision {
  readonly state: TargetState
  /** Milliseconds after which to look again though nothing happened. */
  readonly lookAgain?: number
}

/**
 * The next verdict.
 *
 * - `down` counts only with `proven`: a host that reaches nobody would call everything down, and says `unknown` instead.
 * - What flaps is called down at once, and up again only after it stayed so, longer from time to time.
 *
 * @param now milliseconds of a monotonic clock
 * @param proven whether this host has just reached somebody else, or needs nobody for this container
 */
export function decide(state: TargetState, reading: Reading, proven: boolean, now: number): Decision {
  const changes = state.changes.filter(at => now - at < WINDOW)
  const change = (verdict: Verdict): Decision => ({
    state: verdict === state.verdict ? { verdict, changes } : { verdict, changes: [...changes, now] },
  })
  if (reading === 'undecided') return { state: { verdict: state.verdict, changes } }
  if (reading === 'down') return change(proven ? 'down' : 'unknown')
  if (state.verdict === 'up') return change('up')
  const hold = state.verdict === 'down' || state.upSince !== undefined ? holdAfter(changes.length) : 0
  const upSince = state.upSince ?? now
  const left = upSince + hold - now
  if (left <= 0) return change('up')
  return { state: { verdict: state.verdict, changes, upSince }, lookAgain: left }
}
