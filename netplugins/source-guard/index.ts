export type { Source } from './guard-ruleset.ts'
export { removeSourceGuard, SourceGuard, type SourceGuardOptions } from './source-guard.ts'
