/** The public face of the embedded Kubernetes master. */
export {
  type Authenticate,
  ClusterClient,
  COMPONENT_GROUPS,
  type ContainerLogRequest,
  type Credentials,
  type Draft,
  EVENTS,
  type Frozen,
  type Identity,
  LEASES,
  type LogOptions,
  MASTERS_GROUP,
  NAMESPACES,
  NODES,
  NODES_GROUP,
  type NodeGateway,
  type ObjectName,
  type Observer,
  PODS,
  type ResourceReference,
  SERVICES,
  StatusError,
} from './apiserver/index.ts'
export type * from './apiserver/objects.ts'
export { masterErrors } from './errors.ts'
export { KubernetesMaster, type KubernetesMasterOptions } from './master.ts'
