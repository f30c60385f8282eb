export { detectBackend, type IptablesBackend } from './iptables-command.ts'
export { IptablesReconciler } from './iptables-reconciler.ts'
export { type ChainRules, type DesiredRules, type DesiredTable, type Jump, NO_RULES } from './ruleset.ts'
