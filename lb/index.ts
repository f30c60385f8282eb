export { parseCheckRequest } from './check-request.ts'
export { DEFAULT_DEFAULTS, DEFAULT_GLOBAL, NO_HTTP_CLIENT } from './defaults.ts'
export { lbErrors } from './errors.ts'
export { type Applied, Haproxy, type HaproxyOptions } from './haproxy.ts'
export type {
  Backend,
  Bind,
  Certificate,
  CheckRequest,
  Endpoint,
  Frontend,
  HaproxyModel,
  HostMatch,
  PathMatch,
  RoutingMap,
  RoutingRule,
  ServerCheck,
  Slots,
  Stickiness,
  TlsBind,
} from './model.ts'
export { serverName } from './model.ts'
export { requireModel } from './model-check.ts'
export { type ChangePlan, planChange } from './plan.ts'
export type { HaproxyRunner, RunnerPlace } from './runner.ts'
export { RuntimeClient } from './runtime-client.ts'
export { assignSlots } from './slots.ts'
export { parseStatistics, parseTable, type StatisticsRow, type TableEntry } from './statistics.ts'
