/** The public face of the API server. */
export {
  type Authenticate,
  type Authorizer,
  anyOf,
  COMPONENT_GROUPS,
  type Credentials,
  groupRules,
  type Identity,
  MASTERS_GROUP,
  NODES_GROUP,
  nodeRules,
  rbacRules,
} from './access/index.ts'
export { quotaKinds } from './admission/index.ts'
export {
  Aggregator,
  AUTOMANAGED_LABEL,
  apiServiceName,
  BUILT_IN_PRIORITIES,
  CUSTOM_PRIORITIES,
  type Emptied,
  IDENTITY_HEADERS,
} from './aggregation/index.ts'
export { BackendClient, type FindOutside } from './backends/index.ts'
export { type Catalog, loadCatalog } from './catalog/index.ts'
export { ClientAuthorities, OwnIdentity } from './certificates/index.ts'
export {
  API_SERVICES,
  CERTIFICATE_REQUESTS,
  CLUSTER_ROLE_BINDINGS,
  CLUSTER_ROLES,
  ClusterClient,
  CONFIG_MAPS,
  CONTROLLER_REVISIONS,
  CRON_JOBS,
  CUSTOM_RESOURCE_DEFINITIONS,
  DAEMON_SETS,
  DEPLOYMENTS,
  DISRUPTION_BUDGETS,
  type Draft,
  ENDPOINT_SLICES,
  ENDPOINTS,
  EVENTS,
  EventRecorder,
  type EventText,
  JOBS,
  type KeptResource,
  LEASES,
  NAMESPACES,
  NODES,
  type ObjectName,
  type Observer,
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  PODS,
  PRIORITY_CLASSES,
  REPLICA_SETS,
  REPLICATION_CONTROLLERS,
  RESOURCE_QUOTAS,
  type ResourceReference,
  ROLES,
  SERVICE_ACCOUNTS,
  SERVICES,
  STATEFUL_SETS,
  STORAGE_CLASSES,
} from './client/index.ts'
export { Cluster, type ClusterLimits, DEFAULT_CLUSTER_LIMITS } from './cluster/index.ts'
export {
  CLEANUP_FINALIZER,
  type CustomResourceDefinition,
  conditionOf,
  type DefinitionCondition,
  type DefinitionNames,
  isEstablished,
  withCondition,
} from './custom/index.ts'
export { apiServerErrors } from './errors.ts'
export { ApiServer, type ServiceAccountOptions } from './http/index.ts'
export type { Frozen, JsonObject, JsonValue } from './json.ts'
export {
  type CronSchedule,
  disruptionTarget,
  isOver,
  KUBERNETES_SERVICE_ADDRESS,
  localCondition,
  parseCronSchedule,
} from './kinds/index.ts'
export { KUBELET_CLIENT, KubeletGateway } from './kubelets/index.ts'
export type { ContainerLogRequest, LogOptions, NodeGateway } from './nodes.ts'
export type * from './objects.ts'
export { formatTime, quantityValue } from './schema/index.ts'
export { selectorMatches } from './selection/index.ts'
export { StatusError, type StatusReason, statusObject } from './status.ts'
export { ParsedObjects } from './storage/index.ts'
