export {
  AGE_COLUMN,
  type Cell,
  type Column,
  NAME_COLUMN,
  numberColumn,
  type Printer,
  textColumn,
} from './column.ts'
export {
  configMapPrinter,
  eventPrinter,
  leasePrinter,
  namespacePrinter,
  nodePrinter,
  plainPrinter,
  secretPrinter,
  serviceAccountPrinter,
  servicePrinter,
} from './core.ts'
export { humanDuration, since } from './duration.ts'
export {
  endpointSlicePrinter,
  endpointsPrinter,
  ingressClassPrinter,
  ingressPrinter,
  networkPolicyPrinter,
} from './network.ts'
export { podPrinter } from './pods.ts'
export {
  certificateRequestPrinter,
  claimPrinter,
  columnsPrinter,
  definitionPrinter,
  limitRangePrinter,
  priorityClassPrinter,
  quotaPrinter,
  roleBindingPrinter,
  rolePrinter,
  storageClassPrinter,
  volumePrinter,
} from './policies.ts'
export { type IncludeObject, partialObject, type TableMetadata, tableObject, tableRow } from './table.ts'
export {
  autoscalerPrinter,
  cronJobPrinter,
  daemonSetPrinter,
  deploymentPrinter,
  disruptionBudgetPrinter,
  jobPrinter,
  replicaSetPrinter,
  replicationControllerPrinter,
  statefulSetPrinter,
} from './workloads.ts'
