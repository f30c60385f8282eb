export { addAddress, deleteAddress, type LinkAddress, listAddresses } from './addresses.ts'
export { type KernelEvent, watchKernel } from './kernel-events.ts'
export { LinkRemover } from './link-remover.ts'
export {
  type BridgeOptions,
  createBridge,
  createVethPair,
  getLink,
  type Link,
  type LinkChange,
  listLinks,
  setHairpin,
  setLink,
  type VethPairOptions,
} from './links.ts'
export { deleteNeighbour, listNeighbours, type Neighbour, replaceNeighbour } from './neighbours.ts'
export { isOwnNamespace } from './network-namespace.ts'
export { kernelErrorCode, RouteSocket, withRouteSocket } from './route-socket.ts'
export { deleteRoute, listRoutes, type Route, replaceRoute } from './routes.ts'
