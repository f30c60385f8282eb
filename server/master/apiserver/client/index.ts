export { ClusterClient, type Draft, type ObjectName, type Observer } from './client.ts'
export { EventRecorder, type EventText } from './event-recorder.ts'
export {
  CLUSTER_ROLE_BINDINGS,
  CLUSTER_ROLES,
  CONFIG_MAPS,
  CUSTOM_RESOURCE_DEFINITIONS,
  DEPLOYMENTS,
  ENDPOINT_SLICES,
  EVENTS,
  JOBS,
  type KeptResource,
  LEASES,
  NAMESPACES,
  NODES,
  PODS,
  PRIORITY_CLASSES,
  REPLICA_SETS,
  type ResourceReference,
  SERVICE_ACCOUNTS,
  SERVICES,
} from './resource-reference.ts'
