export { ClusterClient, type Draft, type ObjectName, type Observer } from './client.ts'
export { EventRecorder, type EventText } from './event-recorder.ts'
export {
  CLUSTER_ROLE_BINDINGS,
  CLUSTER_ROLES,
  ENDPOINT_SLICES,
  EVENTS,
  LEASES,
  NAMESPACES,
  NODES,
  PODS,
  PRIORITY_CLASSES,
  type ResourceReference,
  SERVICE_ACCOUNTS,
  SERVICES,
} from './resource-reference.ts'
