export { execute, showLogs } from './console.ts'
export { dnsQuery, metadataGet } from './inquiry.ts'
export { inspect, listClusters, listContainers, listEnvironments, listHosts } from './listings.ts'
export {
  createCluster,
  createEnvironment,
  issueToken,
  printKubeconfig,
  removeCluster,
  removeEnvironment,
} from './membership.ts'
export { listNetworks, printRoutes, rotateKey, setNetwork } from './network.ts'
export { buildImagesCommand, quickstart, stop } from './quickstart.ts'
export { scaleService } from './scale.ts'
export { stackExport, stackList, stackRemove, stackUp } from './stack.ts'
