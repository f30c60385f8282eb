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
export { parseQuantity } from './quantity.ts'
export type {
  Condition,
  Container,
  ContainerPort,
  ContainerRunState,
  ContainerStatus,
  ContainerTermination,
  EndpointConditions,
  EndpointSlice,
  EnvironmentVariable,
  KubernetesList,
  KubernetesObject,
  LabelSelector,
  Lease,
  Namespace,
  NetworkPolicy,
  Node,
  ObjectMeta,
  Pod,
  PodSpec,
  PodStatus,
  Service,
  ServicePort,
  Status,
  Toleration,
  Volume,
} from './types.ts'
export {
  DEFAULT_KUBERNETES_VERSION,
  isKubernetesVersion,
  KUBERNETES_VERSIONS,
  type KubernetesVersion,
} from './versions.ts'
