/** How long a pod may be active (`activeDeadlineSeconds`). Pure. */
import type { Pod } from '../../protocol/kubernetes/index.ts'
import type { PodFailure } from './pod-failures.ts'

/** What becomes of a pod whose time is over. */
export const DEADLINE_EXCEEDED: PodFailure = {
  reason: 'DeadlineExceeded',
  message: 'Pod was active on the node longer than the specified deadline',
}

/**
 * Milliseconds that a pod has left; undefined when it has all the time.
 *
 * @param startTime ISO 8601
 * @param now milliseconds since 1970
 */
export function timeLeftOf({ spec }: Pod, startTime: string, now: number): number | undefined {
  const { activeDeadlineSeconds } = spec
  return activeDeadlineSeconds === undefined
    ? undefined
    : Math.max(0, Date.parse(startTime) + activeDeadlineSeconds * 1000 - now)
}
