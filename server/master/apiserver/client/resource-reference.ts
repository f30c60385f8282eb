/** Names of the resources that the program itself uses, with the types of their objects. */
import type { CustomResourceDefinition } from '../custom/index.ts'
import type {
  ApiService,
  CertificateSigningRequest,
  ConfigMap,
  ControllerRevision,
  CronJob,
  DaemonSet,
  Deployment,
  EndpointSlice,
  Endpoints,
  Event,
  Job,
  KubernetesObject,
  Lease,
  Namespace,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  PriorityClass,
  ReplicaSet,
  ReplicationController,
  ResourceQuota,
  Role,
  RoleBinding,
  Service,
  ServiceAccount,
  StatefulSet,
  StorageClass,
} from '../objects.ts'

export interface ResourceReference<T extends KubernetesObject = KubernetesObject> {
  readonly group: string
  readonly version: string
  readonly resource: string
  /** Never there: it only carries the type. */
  readonly objectType?: T
}

/** A resource with what tells its objects apart from others. */
export interface KeptResource extends ResourceReference {
  readonly kind: string
  readonly namespaced: boolean
}

export const NAMESPACES: ResourceReference<Namespace> = { group: '', version: 'v1', resource: 'namespaces' }
export const NODES: ResourceReference<Node> = { group: '', version: 'v1', resource: 'nodes' }
export const PODS: ResourceReference<Pod> = { group: '', version: 'v1', resource: 'pods' }
export const SERVICES: ResourceReference<Service> = { group: '', version: 'v1', resource: 'services' }
export const EVENTS: ResourceReference<Event> = { group: '', version: 'v1', resource: 'events' }
export const CONFIG_MAPS: ResourceReference<ConfigMap> = { group: '', version: 'v1', resource: 'configmaps' }
export const SERVICE_ACCOUNTS: ResourceReference<ServiceAccount> = {
  group: '',
  version: 'v1',
  resource: 'serviceaccounts',
}
export const ENDPOINT_SLICES: ResourceReference<EndpointSlice> = {
  group: 'discovery.k8s.io',
  version: 'v1',
  resource: 'endpointslices',
}
export const LEASES: ResourceReference<Lease> = {
  group: 'coordination.k8s.io',
  version: 'v1',
  resource: 'leases',
}
export const API_SERVICES: ResourceReference<ApiService> = {
  group: 'apiregistration.k8s.io',
  version: 'v1',
  resource: 'apiservices',
}
export const ROLES: ResourceReference<Role> = {
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  resource: 'roles',
}
export const CLUSTER_ROLES: ResourceReference<Role> = {
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  resource: 'clusterroles',
}
export const CLUSTER_ROLE_BINDINGS: ResourceReference<RoleBinding> = {
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  resource: 'clusterrolebindings',
}
export const PRIORITY_CLASSES: ResourceReference<PriorityClass> = {
  group: 'scheduling.k8s.io',
  version: 'v1',
  resource: 'priorityclasses',
}
export const DEPLOYMENTS: ResourceReference<Deployment> = {
  group: 'apps',
  version: 'v1',
  resource: 'deployments',
}
export const REPLICA_SETS: ResourceReference<ReplicaSet> = {
  group: 'apps',
  version: 'v1',
  resource: 'replicasets',
}
export const CUSTOM_RESOURCE_DEFINITIONS: ResourceReference<CustomResourceDefinition> = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  resource: 'customresourcedefinitions',
}
export const JOBS: ResourceReference<Job> = { group: 'batch', version: 'v1', resource: 'jobs' }
export const REPLICATION_CONTROLLERS: ResourceReference<ReplicationController> = {
  group: '',
  version: 'v1',
  resource: 'replicationcontrollers',
}
export const STATEFUL_SETS: ResourceReference<StatefulSet> = {
  group: 'apps',
  version: 'v1',
  resource: 'statefulsets',
}
export const DAEMON_SETS: ResourceReference<DaemonSet> = {
  group: 'apps',
  version: 'v1',
  resource: 'daemonsets',
}
export const CONTROLLER_REVISIONS: ResourceReference<ControllerRevision> = {
  group: 'apps',
  version: 'v1',
  resource: 'controllerrevisions',
}
export const CRON_JOBS: ResourceReference<CronJob> = {
  group: 'batch',
  version: 'v1',
  resource: 'cronjobs',
}
export const DISRUPTION_BUDGETS: ResourceReference<PodDisruptionBudget> = {
  group: 'policy',
  version: 'v1',
  resource: 'poddisruptionbudgets',
}
export const PERSISTENT_VOLUMES: ResourceReference<PersistentVolume> = {
  group: '',
  version: 'v1',
  resource: 'persistentvolumes',
}
export const PERSISTENT_VOLUME_CLAIMS: ResourceReference<PersistentVolumeClaim> = {
  group: '',
  version: 'v1',
  resource: 'persistentvolumeclaims',
}
export const STORAGE_CLASSES: ResourceReference<StorageClass> = {
  group: 'storage.k8s.io',
  version: 'v1',
  resource: 'storageclasses',
}
export const RESOURCE_QUOTAS: ResourceReference<ResourceQuota> = {
  group: '',
  version: 'v1',
  resource: 'resourcequotas',
}
export const CERTIFICATE_REQUESTS: ResourceReference<CertificateSigningRequest> = {
  group: 'certificates.k8s.io',
  version: 'v1',
  resource: 'certificatesigningrequests',
}
export const ENDPOINTS: ResourceReference<Endpoints> = {
  group: '',
  version: 'v1',
  resource: 'endpoints',
}
