export { ClusterClient, type Draft, type ObjectName, type Observer } from './client.ts'
export { EventRecorder, type EventText } from './event-recorder.ts'
export {
  EVENTS,
  LEASES,
  NAMESPACES,
  NODES,
  PODS,
  type ResourceReference,
  SERVICE_ACCOUNTS,
  SERVICES,
} from './resource-reference.ts'
