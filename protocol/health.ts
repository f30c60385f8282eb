/**
 * Health checks between server and hosts.
 *
 * The server says in the metadata of a container how it is checked (`healthCheck`) and by which hosts
 * (`healthCheckHosts`, uuids); those hosts say what they find in messages `health.report`. A report names the run of the
 * container, expires, and comes over the link of the host that checked: who says it is known without being told.
 */
import { type Static, Type } from '../kit/index.ts'

/** So many hosts check a container, where there are as many besides its own. */
export const CHECKERS_PER_CONTAINER = 3

/** Most verdicts of one message. */
export const HEALTH_REPORT_LIMIT = 1_000

/** Longest time for which a verdict may be valid, in milliseconds. */
const HEALTH_VALIDITY_LIMIT = 300_000

const REASON_LIMIT = 256

/**
 * What one host found out about one run of a container.
 *
 * `unknown` takes back what was said before: the host reaches nobody, or has not tried often enough.
 */
export const healthVerdictSchema = Type.Object({
  containerUuid: Type.String({ maxLength: 64 }),
  /** The container's `startCount`: what is said of an earlier run says nothing about this one. */
  epoch: Type.Integer({ minimum: 0 }),
  verdict: Type.Union([Type.Literal('up'), Type.Literal('down'), Type.Literal('unknown')]),
  /** What the newest check gave, for people. */
  reason: Type.String({ maxLength: REASON_LIMIT }),
  /** Milliseconds from the message's arrival after which nothing is said any more: clocks of hosts differ. */
  validFor: Type.Integer({ minimum: 1, maximum: HEALTH_VALIDITY_LIMIT }),
  /**
   * A further host that the checker had just reached when it said `down` of a container on another host. Without it such a
   * verdict does not count: a host that reaches nobody finds everything down.
   */
  proof: Type.Optional(Type.Object({ hostUuid: Type.String({ maxLength: 64 }) })),
})

export type HealthVerdict = Static<typeof healthVerdictSchema>

/**
 * How a container is, by its checks: in its first run until it was up once, the same in a later run, then as its checks
 * say. `updating-unhealthy` is one that is about to be replaced; `updating-healthy` is known from older systems only.
 */
export type HealthState =
  | 'initializing'
  | 'reinitializing'
  | 'healthy'
  | 'unhealthy'
  | 'updating-healthy'
  | 'updating-unhealthy'

/** The messages that say all `verdicts`, none of them too large. */
export function healthReports(
  verdicts: readonly HealthVerdict[],
): { type: 'health.report'; verdicts: HealthVerdict[] }[] {
  const bounded = verdicts.map(each => ({ ...each, reason: each.reason.slice(0, REASON_LIMIT) }))
  const count = Math.ceil(bounded.length / HEALTH_REPORT_LIMIT)
  return Array.from({ length: count }, (_, index) => ({
    type: 'health.report',
    verdicts: bounded.slice(index * HEALTH_REPORT_LIMIT, (index + 1) * HEALTH_REPORT_LIMIT),
  }))
}
