/** From what the checkers of a container say to how it is. Pure; times are milliseconds of a monotonic clock. */
import type { HealthState } from '../../../protocol/index.ts'
import type { HealthCheck } from '../../model/index.ts'

/** What one checker said last of the present run. */
export interface Vote {
  readonly verdict: 'up' | 'down' | 'unknown'
  readonly expires: number
}

/** One of the hosts that check a container. */
export interface Checker {
  readonly vote: Vote | undefined
  /** When it was told to check this run. */
  readonly since: number
  /** Whether it can say something now. */
  readonly connected: boolean
}

/** A checker that is connected and says nothing for so long abstains: it does not hold up the others for ever. */
const SILENCE = 30_000

export interface Opinion {
  readonly opinion: 'up' | 'down' | 'none'
  /** When it may be another one though nobody said anything. */
  readonly until: number
}

/**
 * What the checkers say together: `up` when one of them does, `down` when one does and nobody who can still speak has not
 * spoken. Who says `unknown`, is not connected or has been silent for long abstains; when all do, nothing is known.
 */
export function opinionOf(checkers: readonly Checker[], now: number): Opinion {
  let until = Number.POSITIVE_INFINITY
  let down = false
  let awaited = false
  let up = false
  for (const { vote, since, connected } of checkers) {
    if (vote !== undefined && vote.expires > now) {
      until = Math.min(until, vote.expires)
      up ||= vote.verdict === 'up'
      down ||= vote.verdict === 'down'
    } else if (connected && Math.max(since, vote?.expires ?? 0) + SILENCE > now) {
      awaited = true
      until = Math.min(until, Math.max(since, vote?.expires ?? 0) + SILENCE)
    }
  }
  if (up) return { opinion: 'up', until }
  return { opinion: down && !awaited ? 'down' : 'none', until }
}

export interface JudgementInput {
  readonly before: { readonly state: HealthState; readonly epoch: number } | undefined
  /** The start count of the present run. */
  readonly epoch: number
  readonly running: boolean
  /** When the present run was first seen by this server. */
  readonly since: number
  readonly check: Pick<HealthCheck, 'initializingTimeout' | 'reinitializingTimeout'>
  readonly checkers: readonly Checker[]
  readonly now: number
}

export interface Judgement {
  readonly state: HealthState
  /** When to look again though nothing happened; infinite when never. */
  readonly lookAgain: number
}

const STARTING: ReadonlySet<HealthState> = new Set(['initializing', 'reinitializing'])

/**
 * The state of a container.
 *
 * - A run begins as `initializing`, or `reinitializing` after an earlier one, and becomes `healthy` when one checker says so.
 * - One that takes longer than its time limit is `unhealthy` only when a checker finds it down: a container that nobody can
 *   check is not to be replaced for that. Before, `down` means nothing: it is still starting.
 * - A healthy one becomes `unhealthy` when its checkers agree on that, and healthy again when one of them says so.
 * - While nothing is known, and while it does not run, everything stays.
 */
export function judge(input: JudgementInput): Judgement {
  const { before, epoch, running, since, check, checkers, now } = input
  const state = stateOfRun(before, epoch)
  if (!running) return { state, lookAgain: Number.POSITIVE_INFINITY }
  const { opinion, until } = opinionOf(checkers, now)
  if (opinion === 'up') return { state: 'healthy', lookAgain: until }
  if (STARTING.has(state)) {
    const limit = state === 'initializing' ? check.initializingTimeout : check.reinitializingTimeout
    const end = since + limit
    if (now < end) return { state, lookAgain: Math.min(until, end) }
  }
  if (opinion === 'none' || state === 'updating-unhealthy') return { state, lookAgain: until }
  return { state: 'unhealthy', lookAgain: until }
}

function stateOfRun(before: JudgementInput['before'], epoch: number): HealthState {
  if (before === undefined) return 'initializing'
  if (before.epoch === epoch) return before.state
  // Counted from 1: what was there before the first run was no run.
  return before.epoch === 0 ? 'initializing' : 'reinitializing'
}
