export { apiServiceStrategy, localCondition } from './api-services.ts'
export { autoscalerStrategy, fromFirstAutoscaler, toFirstAutoscaler } from './autoscaling.ts'
export { cronJobStrategy, jobStrategy } from './batch.ts'
export { certificateRequestStrategy } from './certificates.ts'
export {
  leaseStrategy,
  NAMESPACE_FINALIZER,
  namespaceStrategy,
  nodeStrategy,
  serviceAccountStrategy,
} from './cluster.ts'
export { configMapStrategy, secretStrategy } from './configuration.ts'
export { type CronSchedule, parseCronSchedule } from './cron-schedule.ts'
export { endpointSliceStrategy } from './endpoint-slices.ts'
export { eventStrategy, eventsFaceStrategy, fromEventsFace, toEventsFace } from './events.ts'
export {
  endpointsStrategy,
  ingressClassStrategy,
  ingressStrategy,
  ipAddressStrategy,
  networkPolicyStrategy,
} from './networking.ts'
export type { ObjectPart } from './object-part.ts'
export * as plain from './plain.ts'
export { disruptionTarget, isOver, podStrategy } from './pods.ts'
export {
  disruptionBudgetStrategy,
  limitRangeStrategy,
  priorityClassStrategy,
  quotaStrategy,
} from './policies.ts'
export { clusterRoleBindingStrategy, clusterRoleStrategy, roleBindingStrategy, roleStrategy } from './rbac.ts'
export { validateSelector } from './selectors.ts'
export { KUBERNETES_SERVICE_ADDRESS, ServiceAddresses } from './service-addresses.ts'
export { serviceStrategy } from './services.ts'
export { claimStrategy, storageClassStrategy, volumeStrategy } from './storage.ts'
export {
  type ClusterPools,
  defineStrategy,
  type KindStrategy,
  type Reservation,
  type ReserveResult,
  type ScaleAccess,
} from './strategy.ts'
export {
  daemonSetStrategy,
  deploymentStrategy,
  replicaSetStrategy,
  replicationControllerStrategy,
  statefulSetStrategy,
} from './workloads.ts'
