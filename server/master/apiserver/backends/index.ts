export type { Backend, BackendAddress, Trust } from './backend.ts'
export { hostOf } from './backend.ts'
export {
  type BackendAnswer,
  BackendClient,
  type BackendClientOptions,
  type ExchangeRequest,
  type OpenRequest,
} from './backend-client.ts'
export { type ClusterView, type Destination, endpointsOf, findPod } from './endpoints.ts'
export { shakeHands } from './handshake.ts'
export { type FindOutside, isRefusedAddress, outsideFinder } from './outside-addresses.ts'
export { unreachable } from './unreachable.ts'
