export { ClusterClient, type Draft, type ObjectName, type Observer } from './client.ts'
export { EventRecorder, type EventText } from './event-recorder.ts'
export {
  ENDPOINT_SLICES,
  EVENTS,
  LEASES,
  NAMESPACES,
  NODES,
  PODS,
  type ResourceReference,
  SERVICE_ACCOUNTS,
  SERVICES,
} from './resource-reference.ts'
