export { AddressBlocks } from './address-blocks.ts'
export { BalancerCertificates, type DeliveredCertificate } from './balancer-certificates.ts'
export { BalancerReports } from './balancer-reports.ts'
export { ClusterController, type ClusterMaster } from './cluster-controller.ts'
export { ContainerSync } from './container-sync.ts'
export { controllerErrors } from './errors.ts'
export {
  type CheckerState,
  HealthController,
  ReplacementController,
} from './health/index.ts'
export { HostController, type NodeRemover } from './host-controller.ts'
export { HostRegistry } from './host-registry.ts'
export { NetworkAssignments } from './network-assignments.ts'
export type { PodObservation, PodWriter, UnitBundle } from './pod-writer.ts'
export { ServiceController } from './service-controller.ts'
export { StackController } from './stack-controller.ts'
export { UnitController } from './unit-controller.ts'
