export { addAddress, deleteAddress, type LinkAddress, listAddresses } from './addresses.ts'
export { attribute, nestedAttribute } from './attributes.ts'
export { type ForwardingEntry, forwardingObject, listForwarding } from './forwarding.ts'
export { type KernelEvent, watchKernel } from './kernel-events.ts'
export {
  type KernelObject,
  type KernelTable,
  type TableChanges,
  tableChanges,
  tableOf,
} from './kernel-objects.ts'
export { LinkRemover } from './link-remover.ts'
export {
  type BridgeOptions,
  createBridge,
  createMacvlan,
  createVethPair,
  createVxlan,
  deleteLink,
  getLink,
  type Link,
  type LinkChange,
  listLinks,
  type MacvlanOptions,
  setHairpin,
  setLink,
  type VethPairOptions,
  type VxlanOptions,
} from './links.ts'
export { connectInNamespace } from './namespace-connection.ts'
export {
  deleteNeighbour,
  listNeighbours,
  type Neighbour,
  neighbourObject,
  type PermanentNeighbour,
  replaceNeighbour,
} from './neighbours.ts'
export { inNetworkNamespace, isOwnNamespace } from './network-namespace.ts'
export { PacketSocket } from './packet-socket.ts'
export { linksWithIngressQueue } from './queueing.ts'
export { RecentProcesses } from './recent-processes.ts'
export { type KernelRequest, kernelErrorCode, RouteSocket, withRouteSocket } from './route-socket.ts'
export {
  deleteRoute,
  listRoutes,
  OUR_PROTOCOL,
  type Route,
  type RouteFilter,
  replaceRoute,
  routeObject,
} from './routes.ts'
export { watchRuleset } from './ruleset-events.ts'
export { TableKeeper, type TableOutcome } from './table-keeper.ts'
export type { VxlanSettings } from './vxlan-info.ts'
export { decodeAddress, encodeBlock, familyNumber, familyOf, type IpFamily } from './wire.ts'
