export { meetsTerm, tolerates } from './filters.ts'
export { Scheduler, type SchedulerOptions } from './scheduler.ts'
export { claimNames, SELECTED_NODE } from './volume-demand.ts'
