/**
 * The parts of the Kubernetes API (v1.36) that Drover's own components read and write, as types only.
 * Fields that nothing here uses are left out; objects keep them at run time.
 */

export interface ObjectMeta {
  name: string
  namespace?: string
  uid?: string
  resourceVersion?: string
  generation?: number
  creationTimestamp?: string
  deletionTimestamp?: string
  deletionGracePeriodSeconds?: number
  labels?: Record<string, string>
  annotations?: Record<string, string>
  finalizers?: string[]
  ownerReferences?: OwnerReference[]
}

export interface OwnerReference {
  apiVersion: string
  kind: string
  name: string
  uid: string
  controller?: boolean
  blockOwnerDeletion?: boolean
}

export interface KubernetesObject {
  apiVersion?: string
  kind?: string
  metadata: ObjectMeta
}

export interface KubernetesList<T extends KubernetesObject> {
  metadata: { resourceVersion: string; continue?: string }
  items: T[]
}

/** A key of a ConfigMap or Secret. */
export interface KeySelector {
  name?: string
  key: string
  optional?: boolean
}

export interface ResourceFieldSelector {
  containerName?: string
  resource: string
  divisor?: string
}

export interface EnvironmentVariable {
  name: string
  value?: string
  valueFrom?: {
    fieldRef?: { fieldPath: string }
    resourceFieldRef?: ResourceFieldSelector
    configMapKeyRef?: KeySelector
    secretKeyRef?: KeySelector
  }
}

export interface EnvironmentSource {
  prefix?: string
  configMapRef?: { name?: string; optional?: boolean }
  secretRef?: { name?: string; optional?: boolean }
}

export interface ContainerPort {
  name?: string
  containerPort: number
  hostPort?: number
  hostIP?: string
  protocol?: 'TCP' | 'UDP'
}

export interface SecurityProfile {
  type: 'Unconfined' | 'RuntimeDefault' | 'Localhost'
  localhostProfile?: string
}

/** What a pod and its containers may both say; the container's word counts. */
export interface SharedSecurityContext {
  runAsUser?: number
  runAsGroup?: number
  runAsNonRoot?: boolean
  seccompProfile?: SecurityProfile
  appArmorProfile?: SecurityProfile
}

export interface SecurityContext extends SharedSecurityContext {
  privileged?: boolean
  readOnlyRootFilesystem?: boolean
  allowPrivilegeEscalation?: boolean
  capabilities?: { add?: string[]; drop?: string[] }
}

export interface PodSecurityContext extends SharedSecurityContext {
  fsGroup?: number
  fsGroupChangePolicy?: 'Always' | 'OnRootMismatch'
  supplementalGroups?: number[]
  sysctls?: { name: string; value: string }[]
}

export interface VolumeMount {
  name: string
  mountPath: string
  readOnly?: boolean
  subPath?: string
  subPathExpr?: string
  mountPropagation?: 'None' | 'HostToContainer' | 'Bidirectional'
}

export interface HttpGetAction {
  path?: string
  port: number | string
  host?: string
  scheme?: 'HTTP' | 'HTTPS'
  httpHeaders?: { name: string; value: string }[]
}

export interface TcpSocketAction {
  port: number | string
  host?: string
}

export interface Probe {
  exec?: { command?: string[] }
  httpGet?: HttpGetAction
  tcpSocket?: TcpSocketAction
  grpc?: { port: number; service?: string }
  initialDelaySeconds?: number
  timeoutSeconds?: number
  periodSeconds?: number
  successThreshold?: number
  failureThreshold?: number
  terminationGracePeriodSeconds?: number
}

export interface LifecycleHandler {
  exec?: { command?: string[] }
  httpGet?: HttpGetAction
  tcpSocket?: TcpSocketAction
  sleep?: { seconds: number }
}

export interface Container {
  name: string
  image: string
  imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never'
  command?: string[]
  args?: string[]
  workingDir?: string
  env?: EnvironmentVariable[]
  envFrom?: EnvironmentSource[]
  ports?: ContainerPort[]
  resources?: { limits?: Record<string, string>; requests?: Record<string, string> }
  resizePolicy?: { resourceName: string; restartPolicy: string }[]
  securityContext?: SecurityContext
  volumeMounts?: VolumeMount[]
  lifecycle?: { postStart?: LifecycleHandler; preStop?: LifecycleHandler }
  livenessProbe?: Probe
  readinessProbe?: Probe
  startupProbe?: Probe
  /** Of an init container: `Always` makes it a sidecar. */
  restartPolicy?: 'Always'
  terminationMessagePath?: string
  terminationMessagePolicy?: 'File' | 'FallbackToLogsOnError'
  stdin?: boolean
  stdinOnce?: boolean
  tty?: boolean
}

export interface EphemeralContainer extends Container {
  /** The container whose processes it sees. */
  targetContainerName?: string
}

/** Which keys become which files. */
export interface KeyToPath {
  key: string
  path: string
  mode?: number
}

export interface DownwardFile {
  path: string
  fieldRef?: { fieldPath: string }
  resourceFieldRef?: ResourceFieldSelector
  mode?: number
}

export interface ProjectedSource {
  configMap?: { name?: string; items?: KeyToPath[]; optional?: boolean }
  secret?: { name?: string; items?: KeyToPath[]; optional?: boolean }
  downwardAPI?: { items?: DownwardFile[] }
  serviceAccountToken?: { path: string; audience?: string; expirationSeconds?: number }
}

export interface Volume {
  name: string
  hostPath?: { path: string; type?: string }
  emptyDir?: { medium?: string; sizeLimit?: string }
  configMap?: { name?: string; items?: KeyToPath[]; defaultMode?: number; optional?: boolean }
  secret?: { secretName?: string; items?: KeyToPath[]; defaultMode?: number; optional?: boolean }
  downwardAPI?: { items?: DownwardFile[]; defaultMode?: number }
  projected?: { sources?: ProjectedSource[]; defaultMode?: number }
  persistentVolumeClaim?: { claimName: string; readOnly?: boolean }
}

export interface Toleration {
  key?: string
  operator?: 'Exists' | 'Equal'
  value?: string
  effect?: string
}

export interface PodSpec {
  containers: Container[]
  initContainers?: Container[]
  ephemeralContainers?: EphemeralContainer[]
  serviceAccountName?: string
  securityContext?: PodSecurityContext
  shareProcessNamespace?: boolean
  readinessGates?: { conditionType: string }[]
  imagePullSecrets?: { name?: string }[]
  nodeName?: string
  nodeSelector?: Record<string, string>
  affinity?: Record<string, unknown>
  tolerations?: Toleration[]
  restartPolicy?: 'Always' | 'OnFailure' | 'Never'
  terminationGracePeriodSeconds?: number
  /** Seconds that it may be active. */
  activeDeadlineSeconds?: number
  priority?: number
  hostname?: string
  subdomain?: string
  hostNetwork?: boolean
  hostPID?: boolean
  hostIPC?: boolean
  dnsPolicy?: string
  dnsConfig?: { nameservers?: string[]; searches?: string[]; options?: { name: string; value?: string }[] }
  hostAliases?: { ip: string; hostnames: string[] }[]
  volumes?: Volume[]
  automountServiceAccountToken?: boolean
  enableServiceLinks?: boolean
}

export interface Condition {
  type: string
  status: 'True' | 'False' | 'Unknown'
  reason?: string
  message?: string
  lastTransitionTime?: string
  lastHeartbeatTime?: string
}

export type ContainerRunState =
  | { waiting: { reason: string; message?: string } }
  | { running: { startedAt: string } }
  | { terminated: ContainerTermination }

export interface ContainerTermination {
  exitCode: number
  signal?: number
  reason: string
  message?: string
  startedAt?: string
  finishedAt?: string
  containerID?: string
}

export interface ContainerStatus {
  name: string
  state: ContainerRunState
  lastState: ContainerRunState | Record<string, never>
  ready: boolean
  started: boolean
  restartCount: number
  image: string
  imageID: string
  containerID?: string
  /** What it has been given. */
  resources?: Container['resources']
  allocatedResources?: Record<string, string>
}

export interface PodStatus {
  phase?: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown'
  conditions?: Condition[]
  message?: string
  reason?: string
  hostIP?: string
  hostIPs?: { ip: string }[]
  podIP?: string
  podIPs?: { ip: string }[]
  startTime?: string
  containerStatuses?: ContainerStatus[]
  initContainerStatuses?: ContainerStatus[]
  ephemeralContainerStatuses?: ContainerStatus[]
  qosClass?: string
}

export interface Pod extends KubernetesObject {
  spec: PodSpec
  status?: PodStatus
}

export interface ConfigMap extends KubernetesObject {
  data?: Record<string, string>
  /** Base64. */
  binaryData?: Record<string, string>
  immutable?: boolean
}

export interface Secret extends KubernetesObject {
  type?: string
  /** Base64. */
  data?: Record<string, string>
  immutable?: boolean
}

export interface PersistentVolumeClaim extends KubernetesObject {
  spec?: { volumeName?: string }
  status?: { phase?: string }
}

export interface PersistentVolume extends KubernetesObject {
  spec?: {
    hostPath?: { path: string; type?: string }
    local?: { path: string }
    persistentVolumeReclaimPolicy?: string
  }
  status?: { phase?: string }
}

export interface Node extends KubernetesObject {
  spec?: {
    unschedulable?: boolean
    taints?: { key: string; value?: string; effect: string }[]
    podCIDRs?: string[]
  }
  status?: {
    capacity?: Record<string, string>
    allocatable?: Record<string, string>
    conditions?: Condition[]
    addresses?: { type: string; address: string }[]
    nodeInfo?: Record<string, string>
    images?: { names: string[]; sizeBytes: number }[]
    daemonEndpoints?: Record<string, unknown>
  }
}

export interface Lease extends KubernetesObject {
  spec?: { holderIdentity?: string; leaseDurationSeconds?: number; renewTime?: string }
}

export interface Namespace extends KubernetesObject {
  spec?: { finalizers?: string[] }
  status?: { phase?: string }
}

export interface ServicePort {
  name?: string
  protocol?: string
  port: number
  nodePort?: number
}

export interface Service extends KubernetesObject {
  spec?: {
    type?: string
    clusterIP?: string
    clusterIPs?: string[]
    externalIPs?: string[]
    externalName?: string
    ports?: ServicePort[]
    publishNotReadyAddresses?: boolean
    sessionAffinity?: string
    sessionAffinityConfig?: { clientIP?: { timeoutSeconds?: number } }
    internalTrafficPolicy?: string
    externalTrafficPolicy?: string
    loadBalancerSourceRanges?: string[]
    healthCheckNodePort?: number
    trafficDistribution?: string
  }
  status?: { loadBalancer?: { ingress?: { ip?: string; ipMode?: string }[] } }
}

export interface EndpointConditions {
  ready?: boolean
  serving?: boolean
  terminating?: boolean
}

export interface EndpointSlice extends KubernetesObject {
  addressType: string
  endpoints?: {
    addresses: string[]
    conditions?: EndpointConditions
    hostname?: string
    nodeName?: string
    hints?: { forZones?: { name: string }[] }
  }[]
  ports?: { name?: string; protocol?: string; port?: number }[]
}

export interface LabelSelector {
  matchLabels?: Record<string, string>
  matchExpressions?: { key: string; operator: string; values?: string[] }[]
}

export interface NetworkPolicyPeer {
  podSelector?: LabelSelector
  namespaceSelector?: LabelSelector
  ipBlock?: { cidr: string; except?: string[] }
}

export interface NetworkPolicyPort {
  protocol?: string
  port?: number | string
  endPort?: number
}

export interface NetworkPolicy extends KubernetesObject {
  spec?: {
    podSelector?: LabelSelector
    policyTypes?: string[]
    ingress?: { from?: NetworkPolicyPeer[]; ports?: NetworkPolicyPort[] }[]
    egress?: { to?: NetworkPolicyPeer[]; ports?: NetworkPolicyPort[] }[]
  }
}

/** The error document of the Kubernetes API. */
export interface Status {
  kind: 'Status'
  status?: string
  message?: string
  reason?: string
  code?: number
}
