/**
 * The kinds that this package looks into, as types: only fields that some code reads or writes. The whole of every
 * kind is in the generated table, and decoding along it is what makes a value one of these.
 */

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
  volumes?: Volume[]
  nodeName?: string
  nodeSelector?: Record<string, string>
  affinity?: {
    nodeAffinity?: {
      requiredDuringSchedulingIgnoredDuringExecution?: { nodeSelectorTerms: NodeSelectorTerm[] }
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
    nodeInfo?: {
      kubeletVersion?: string
      osImage?: string
      kernelVersion?: string
      containerRuntimeVersion?: string
    }
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

// --- Workloads

export interface LabelSelector {
  matchLabels?: Record<string, string>
  matchExpressions?: { key: string; operator: string; values?: string[] }[]
}

export interface PodTemplateSpec {
  metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> }
  spec: PodSpec
}

export interface Workload extends KubernetesObject {
  spec: {
    replicas?: number
    minReadySeconds?: number
    revisionHistoryLimit?: number
    selector?: LabelSelector
    template: PodTemplateSpec
  }
  status?: {
    replicas?: number
    readyReplicas?: number
    availableReplicas?: number
    observedGeneration?: number
    conditions?: Condition[]
  }
}

export interface Deployment extends Workload {
  spec: Workload['spec'] & {
    paused?: boolean
    progressDeadlineSeconds?: number
    strategy?: {
      type?: string
      rollingUpdate?: { maxSurge?: number | string; maxUnavailable?: number | string }
    }
  }
  status?: Workload['status'] & { updatedReplicas?: number; unavailableReplicas?: number }
}

export interface ReplicaSet extends Workload {
  status?: Workload['status'] & { fullyLabeledReplicas?: number }
}

export interface StatefulSet extends Workload {
  spec: Workload['spec'] & {
    serviceName?: string
    podManagementPolicy?: string
    updateStrategy?: {
      type?: string
      rollingUpdate?: { partition?: number; maxUnavailable?: number | string }
    }
    volumeClaimTemplates?: PersistentVolumeClaim[]
    ordinals?: { start?: number }
  }
  status?: Workload['status'] & {
    currentReplicas?: number
    updatedReplicas?: number
    currentRevision?: string
    updateRevision?: string
    collisionCount?: number
  }
}

export interface DaemonSet extends Workload {
  spec: Workload['spec'] & {
    updateStrategy?: {
      type?: string
      rollingUpdate?: { maxSurge?: number | string; maxUnavailable?: number | string }
    }
  }
  status?: Workload['status'] & {
    currentNumberScheduled?: number
    desiredNumberScheduled?: number
    numberMisscheduled?: number
    numberReady?: number
    updatedNumberScheduled?: number
    numberAvailable?: number
    numberUnavailable?: number
  }
}

export interface ReplicationController extends KubernetesObject {
  spec: {
    replicas?: number
    minReadySeconds?: number
    selector?: Record<string, string>
    template?: PodTemplateSpec
  }
  status?: { replicas?: number; readyReplicas?: number; availableReplicas?: number }
}

export interface JobSpec {
  completions?: number
  parallelism?: number
  backoffLimit?: number
  backoffLimitPerIndex?: number
  completionMode?: string
  managedBy?: string
  manualSelector?: boolean
  podFailurePolicy?: object
  podReplacementPolicy?: string
  selector?: LabelSelector
  successPolicy?: object
  suspend?: boolean
  activeDeadlineSeconds?: number
  ttlSecondsAfterFinished?: number
  template: PodTemplateSpec
}

export interface Job extends KubernetesObject {
  spec: JobSpec
  status?: {
    active?: number
    succeeded?: number
    failed?: number
    startTime?: string
    completionTime?: string
    ready?: number
    completedIndexes?: string
    failedIndexes?: string
    /** Uids of ended pods that are in the counts and still hold their finalizer. */
    uncountedTerminatedPods?: { succeeded?: string[]; failed?: string[] }
    conditions?: Condition[]
  }
}

export interface CronJob extends KubernetesObject {
  spec: {
    schedule: string
    timeZone?: string
    suspend?: boolean
    jobTemplate: { metadata?: object; spec: JobSpec }
  }
  status?: { active?: object[]; lastScheduleTime?: string; lastSuccessfulTime?: string }
}

export interface HorizontalPodAutoscaler extends KubernetesObject {
  spec: {
    scaleTargetRef: { kind: string; name: string; apiVersion?: string }
    minReplicas?: number
    maxReplicas: number
    metrics?: MetricSpec[]
  }
  status?: { currentReplicas?: number; desiredReplicas?: number; currentMetrics?: object[] }
}

export interface MetricSpec {
  type: string
  resource?: { name: string; target: { type: string; averageUtilization?: number } }
}

export interface PodDisruptionBudget extends KubernetesObject {
  spec: { minAvailable?: number | string; maxUnavailable?: number | string; selector?: LabelSelector }
  status?: {
    disruptionsAllowed?: number
    currentHealthy?: number
    desiredHealthy?: number
    expectedPods?: number
  }
}

// --- Access, networking, storage, quotas

export interface PolicyRule {
  verbs: string[]
  apiGroups?: string[]
  resources?: string[]
  resourceNames?: string[]
  nonResourceURLs?: string[]
}

export interface Role extends KubernetesObject {
  rules: PolicyRule[] | null
  aggregationRule?: { clusterRoleSelectors?: LabelSelector[] }
}

export interface Subject {
  kind: string
  name: string
  namespace?: string
  apiGroup?: string
}

export interface RoleBinding extends KubernetesObject {
  roleRef: { apiGroup: string; kind: string; name: string }
  subjects?: Subject[]
}

export interface Ingress extends KubernetesObject {
  spec: {
    ingressClassName?: string
    defaultBackend?: object
    tls?: object[]
    rules?: { host?: string; http?: { paths: { path?: string; pathType?: string }[] } }[]
  }
  status?: { loadBalancer?: { ingress?: { ip?: string; hostname?: string }[] } }
}

export interface IngressClass extends KubernetesObject {
  spec?: { controller?: string; parameters?: { kind: string; name: string; apiGroup?: string } }
}

export interface NetworkPolicy extends KubernetesObject {
  spec: { podSelector?: LabelSelector; ingress?: object[]; egress?: object[]; policyTypes?: string[] }
}

export interface PersistentVolume extends KubernetesObject {
  spec: {
    capacity?: Record<string, string>
    accessModes?: string[]
    persistentVolumeReclaimPolicy?: string
    claimRef?: ObjectReference
    storageClassName?: string
    volumeAttributesClassName?: string
    volumeMode?: string
  }
  status?: { phase?: string; reason?: string }
}

export interface PersistentVolumeClaim extends KubernetesObject {
  spec: {
    accessModes?: string[]
    resources?: ResourceRequirements
    storageClassName?: string
    volumeAttributesClassName?: string
    volumeMode?: string
    volumeName?: string
  }
  status?: { phase?: string; capacity?: Record<string, string>; accessModes?: string[] }
}

export interface StorageClass extends KubernetesObject {
  provisioner: string
  reclaimPolicy?: string
  volumeBindingMode?: string
  allowVolumeExpansion?: boolean
}

export interface PriorityClass extends KubernetesObject {
  value: number
  globalDefault?: boolean
  preemptionPolicy?: string
}

export interface ResourceQuota extends KubernetesObject {
  spec: { hard?: Record<string, string>; scopes?: string[] }
  status?: { hard?: Record<string, string>; used?: Record<string, string> }
}

export interface LimitRangeItem {
  type: string
  max?: Record<string, string>
  min?: Record<string, string>
  default?: Record<string, string>
  defaultRequest?: Record<string, string>
  maxLimitRequestRatio?: Record<string, string>
}

export interface LimitRange extends KubernetesObject {
  spec: { limits: LimitRangeItem[] }
}

export interface CertificateSigningRequest extends KubernetesObject {
  spec: {
    request: string
    signerName: string
    usages?: string[]
    expirationSeconds?: number
    username?: string
    uid?: string
    groups?: string[]
    extra?: Record<string, string[]>
  }
  status?: { certificate?: string; conditions?: Condition[] }
}

export interface Endpoints extends KubernetesObject {
  subsets?: {
    addresses?: { ip: string }[]
    notReadyAddresses?: { ip: string }[]
    ports?: { name?: string; port: number; protocol: string }[]
  }[]
}

/** `autoscaling/v1` Scale. */
export interface Scale extends KubernetesObject {
  spec: { replicas: number }
  status: { replicas: number; selector?: string }
}
