export { BEACON_PORT, serverCheckOf } from './check-model.ts'
export type { OtherHost } from './connectivity.ts'
export { HealthChecker, type HealthCheckerOptions } from './health-checker.ts'
export { type CheckTarget, CheckTargets } from './targets.ts'
