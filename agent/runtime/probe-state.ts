/** What a series of probes says of a container. Pure. */
import type { Probe } from '../../protocol/kubernetes/index.ts'

export type ProbeKind = 'startup' | 'liveness' | 'readiness'

export interface ProbeState {
  /** What counts now. */
  readonly verdict: 'success' | 'failure' | 'unknown'
  /** How often in a row the newest outcome came. */
  readonly row: number
  readonly last: boolean | undefined
}

/** Kubernetes' values where a probe says nothing. */
export const PROBE_DEFAULTS = {
  timeoutSeconds: 1,
  periodSeconds: 10,
  successThreshold: 1,
  failureThreshold: 3,
} as const

/** Nothing is known yet: a container counts as alive then, and as not ready. */
export const NOT_PROBED: ProbeState = { verdict: 'unknown', row: 0, last: undefined }

/** After one more outcome. */
export function nextState(
  before: ProbeState,
  successful: boolean,
  {
    successThreshold = PROBE_DEFAULTS.successThreshold,
    failureThreshold = PROBE_DEFAULTS.failureThreshold,
  }: Pick<Probe, 'successThreshold' | 'failureThreshold'>,
): ProbeState {
  const row = before.last === successful ? before.row + 1 : 1
  const reached = row >= (successful ? successThreshold : failureThreshold)
  return {
    verdict: reached ? (successful ? 'success' : 'failure') : before.verdict,
    // Counting on for ever would serve nobody.
    row: Math.min(row, 1_000_000),
    last: successful,
  }
}
