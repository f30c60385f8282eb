export {
  KubernetesClient,
  type KubernetesClientOptions,
  type PatchType,
  type ResourcePath,
  type WatchEvent,
} from './client.ts'
export { kubernetesErrors } from './errors.ts'
export { Informer, type InformerOptions } from './informer.ts'
export { formatKubeconfig, type KubeconfigContent } from './kubeconfig.ts'
export { type PodReference, podReferences, type ReferencedKind } from './pod-references.ts'
export { parseQuantity } from './quantity.ts'
export { isMirror, isStatic, STATIC_POD } from './static-pods.ts'
export type {
  Condition,
  ConfigMap,
  Container,
  ContainerPort,
  ContainerRunState,
  ContainerStatus,
  ContainerTermination,
  DownwardFile,
  EndpointConditions,
  EndpointSlice,
  EnvironmentVariable,
  EphemeralContainer,
  HttpGetAction,
  KeyToPath,
  KubernetesList,
  KubernetesObject,
  LabelSelector,
  Lease,
  LifecycleHandler,
  Namespace,
  NetworkPolicy,
  Node,
  ObjectMeta,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  PodSecurityContext,
  PodSpec,
  PodStatus,
  Probe,
  ProjectedSource,
  ResourceFieldSelector,
  Secret,
  Service,
  ServicePort,
  Status,
  TcpSocketAction,
  Toleration,
  Volume,
  VolumeMount,
} from './types.ts'
export {
  DEFAULT_KUBERNETES_VERSION,
  isKubernetesVersion,
  KUBERNETES_VERSIONS,
  type KubernetesVersion,
} from './versions.ts'
