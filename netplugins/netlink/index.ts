export { addAddress, deleteAddress, type LinkAddress, listAddresses } from './addresses.ts'
export { type KernelEvent, watchKernel } from './kernel-events.ts'
export {
  type BridgeOptions,
  createBridge,
  createVethPair,
  deleteLink,
  getLink,
  type Link,
  type LinkChange,
  listLinks,
  setLink,
  type VethPairOptions,
} from './links.ts'
export { deleteNeighbour, listNeighbours, type Neighbour, replaceNeighbour } from './neighbours.ts'
export { kernelErrorCode, RouteSocket, withRouteSocket } from './route-socket.ts'
export { deleteRoute, listRoutes, type Route, replaceRoute } from './routes.ts'
