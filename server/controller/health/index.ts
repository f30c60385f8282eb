export { type CheckerState, HealthController } from './health-controller.ts'
export { ReplacementController } from './replacement-controller.ts'
