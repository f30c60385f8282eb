export { meetsTerm, tolerates } from './filters.ts'
export { Scheduler, type SchedulerOptions } from './scheduler.ts'
export { claimNames } from './volume-demand.ts'
