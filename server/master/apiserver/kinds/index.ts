export {
  leaseStrategy,
  NAMESPACE_FINALIZER,
  namespaceStrategy,
  nodeStrategy,
  serviceAccountStrategy,
} from './cluster.ts'
export { configMapStrategy, secretStrategy } from './configuration.ts'
export { endpointSliceStrategy } from './endpoint-slices.ts'
export { eventStrategy, fromEventsFace, toEventsFace } from './events.ts'
export { podStrategy } from './pods.ts'
export { KUBERNETES_SERVICE_ADDRESS, ServiceAddresses } from './service-addresses.ts'
export { serviceStrategy } from './services.ts'
export {
  type ClusterPools,
  defineStrategy,
  type KindStrategy,
  type Reservation,
  type ReserveResult,
} from './strategy.ts'
