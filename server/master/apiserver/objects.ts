/**
 * The kinds that this package looks into, as types: only fields that some code reads or writes. The whole of every
 * kind is in the generated table, and decoding along it is what makes a value one of these.
 */

export type * from './policy-objects.ts'
export type * from './workload-objects.ts'

export interface OwnerReference {
  apiVersion: string
  kind: string
  name: string
  uid: string
  controller?: boolean
  blockOwnerDeletion?: boolean
}

export interface ManagedFieldsEntry {
  manager?: string
  operation?: string
  apiVersion?: string
  time?: string
  fieldsType?: string
  fieldsV1?: object
  subresource?: string
}

export interface ObjectMeta {
  name: string
  generateName?: string
  namespace?: string
  uid?: string
  /** The revision that wrote this version, as decimal digits. */
  resourceVersion?: string
  generation?: number
  creationTimestamp?: string
  deletionTimestamp?: string
  deletionGracePeriodSeconds?: number
  labels?: Record<string, string>
  annotations?: Record<string, string>
  finalizers?: string[]
  ownerReferences?: OwnerReference[]
  managedFields?: ManagedFieldsEntry[]
}

export interface KubernetesObject {
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  [field: string]: unknown
}

export type ConditionStatus = 'True' | 'False' | 'Unknown'

export interface Condition {
  type: string
  status: ConditionStatus
  reason?: string
  message?: string
  lastTransitionTime?: string
  lastHeartbeatTime?: string
  lastProbeTime?: string
}

// --- Pod

export interface ContainerPort {
  name?: string
  containerPort: number
  hostPort?: number
  hostIP?: string
  protocol: string
}

export interface ResourceRequirements {
  limits?: Record<string, string>
  requests?: Record<string, string>
}

export interface EnvVar {
  name: string
  value?: string
  valueFrom?: object
}

export interface VolumeMount {
  name: string
  mountPath: string
  readOnly?: boolean
  subPath?: string
  subPathExpr?: string
}

export interface Container {
  name: string
  image?: string
  imagePullPolicy?: string
  restartPolicy?: string
  ports?: ContainerPort[]
  env?: EnvVar[]
  resources?: ResourceRequirements
  volumeMounts?: VolumeMount[]
}

export interface EphemeralContainer extends Container {
  targetContainerName?: string
}

export interface Toleration {
  key?: string
  operator?: string
  value?: string
  effect?: string
  tolerationSeconds?: number
}

export interface NodeSelectorRequirement {
  key: string
  operator: string
  values?: string[]
}

export interface NodeSelectorTerm {
  matchExpressions?: NodeSelectorRequirement[]
  matchFields?: NodeSelectorRequirement[]
}

export interface Volume {
  name: string
  [source: string]: unknown
}

export interface PodSpec {
  containers: Container[]
  initContainers?: Container[]
  ephemeralContainers?: EphemeralContainer[]
  volumes?: Volume[]
  nodeName?: string
  nodeSelector?: Record<string, string>
  affinity?: {
    nodeAffinity?: {
      requiredDuringSchedulingIgnoredDuringExecution?: { nodeSelectorTerms: NodeSelectorTerm[] }
      preferredDuringSchedulingIgnoredDuringExecution?: { weight: number; preference: NodeSelectorTerm }[]
    }
  }
  tolerations?: Toleration[]
  hostNetwork?: boolean
  restartPolicy: string
  terminationGracePeriodSeconds?: number
  activeDeadlineSeconds?: number
  schedulerName?: string
  schedulingGates?: { name: string }[]
  readinessGates?: { conditionType: string }[]
  serviceAccountName?: string
  serviceAccount?: string
  automountServiceAccountToken?: boolean
  imagePullSecrets?: { name?: string }[]
  priorityClassName?: string
  priority?: number
  preemptionPolicy?: string
  overhead?: Record<string, string>
  hostname?: string
  subdomain?: string
}

export interface ContainerStatus {
  name: string
  ready: boolean
  started?: boolean
  restartCount: number
  state?: {
    waiting?: { reason?: string }
    running?: { startedAt?: string }
    terminated?: { reason?: string; exitCode?: number; signal?: number; finishedAt?: string }
  }
  resources?: ResourceRequirements
  lastState?: { terminated?: { finishedAt?: string } }
}

export interface PodStatus {
  phase?: string
  reason?: string
  conditions?: Condition[]
  podIP?: string
  podIPs?: { ip: string }[]
  hostIP?: string
  nominatedNodeName?: string
  qosClass?: string
  containerStatuses?: ContainerStatus[]
  initContainerStatuses?: ContainerStatus[]
  ephemeralContainerStatuses?: ContainerStatus[]
}

export interface Pod extends KubernetesObject {
  spec: PodSpec
  status: PodStatus
}

// --- Node

export interface Taint {
  key: string
  value?: string
  effect: string
  timeAdded?: string
}

export interface Node extends KubernetesObject {
  spec: {
    unschedulable?: boolean
    taints?: Taint[]
    podCIDR?: string
    podCIDRs?: string[]
    providerID?: string
  }
  status: {
    allocatable?: Record<string, string>
    capacity?: Record<string, string>
    conditions?: Condition[]
    addresses?: { type: string; address: string }[]
    images?: { names?: string[]; sizeBytes?: number }[]
    nodeInfo?: {
      kubeletVersion?: string
      osImage?: string
      kernelVersion?: string
      containerRuntimeVersion?: string
    }
    daemonEndpoints?: { kubeletEndpoint?: { Port?: number } }
  }
}

// --- The rest of the core group, and leases

export interface Namespace extends KubernetesObject {
  spec: { finalizers?: string[] }
  status: { phase?: string; conditions?: Condition[] }
}

export interface ServicePort {
  name?: string
  protocol: string
  port: number
  targetPort?: number | string
  appProtocol?: string
  nodePort?: number
}

export interface Service extends KubernetesObject {
  spec: {
    type: string
    clusterIP?: string
    clusterIPs?: string[]
    ports?: ServicePort[]
    selector?: Record<string, string>
    externalName?: string
    externalIPs?: string[]
    externalTrafficPolicy?: string
    internalTrafficPolicy?: string
    ipFamilies?: string[]
    ipFamilyPolicy?: string
    sessionAffinity: string
    sessionAffinityConfig?: { clientIP?: { timeoutSeconds?: number } }
    allocateLoadBalancerNodePorts?: boolean
    healthCheckNodePort?: number
    loadBalancerSourceRanges?: string[]
    trafficDistribution?: string
    publishNotReadyAddresses?: boolean
  }
  status: { loadBalancer?: { ingress?: { ip?: string; hostname?: string }[] } }
}

export interface ConfigMap extends KubernetesObject {
  data?: Record<string, string>
  binaryData?: Record<string, string>
  immutable?: boolean
}

export interface Secret extends KubernetesObject {
  type: string
  data?: Record<string, string>
  stringData?: Record<string, string>
  immutable?: boolean
}

export interface ServiceAccount extends KubernetesObject {
  secrets?: object[]
  imagePullSecrets?: { name?: string }[]
  automountServiceAccountToken?: boolean
}

export interface Lease extends KubernetesObject {
  spec: {
    holderIdentity?: string
    leaseDurationSeconds?: number
    renewTime?: string
    leaseTransitions?: number
  }
}

export interface ObjectReference {
  kind?: string
  namespace?: string
  name?: string
  uid?: string
  apiVersion?: string
  resourceVersion?: string
  fieldPath?: string
}

/** `v1` Event: also the form in which events of `events.k8s.io` are kept. */
export interface Event extends KubernetesObject {
  involvedObject: ObjectReference
  reason?: string
  message?: string
  type?: string
  source?: { component?: string; host?: string }
  count?: number
  firstTimestamp?: string
  lastTimestamp?: string
  eventTime?: string | null
  action?: string
  reportingComponent?: string
  reportingInstance?: string
  series?: { count?: number; lastObservedTime?: string }
}

// --- EndpointSlice

export interface SliceEndpoint {
  addresses: string[]
  conditions?: { ready?: boolean; serving?: boolean; terminating?: boolean }
  hostname?: string
  nodeName?: string
  targetRef?: ObjectReference
  zone?: string
  /** Whose clients should be led to it. */
  hints?: { forZones?: { name: string }[] }
}

export interface SlicePort {
  name?: string
  protocol?: string
  port?: number
  appProtocol?: string
}

export interface EndpointSlice extends KubernetesObject {
  addressType: string
  endpoints?: SliceEndpoint[]
  ports?: SlicePort[]
}

export interface Binding extends KubernetesObject {
  target: ObjectReference
}

export interface DeleteOptions {
  gracePeriodSeconds?: number
  propagationPolicy?: string
  orphanDependents?: boolean
  dryRun?: string[]
  preconditions?: { uid?: string; resourceVersion?: string }
}
