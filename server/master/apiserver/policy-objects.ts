/** Kinds about access, networking, storage and limits, as types: see `objects.ts`. */
import type {
  Condition,
  KubernetesObject,
  LabelSelector,
  NodeSelectorTerm,
  ObjectReference,
  ResourceRequirements,
} from './objects.ts'

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

export interface NetworkPolicyPeer {
  podSelector?: LabelSelector
  namespaceSelector?: LabelSelector
  ipBlock?: { cidr?: string; except?: string[] }
}

export interface NetworkPolicy extends KubernetesObject {
  spec: {
    podSelector?: LabelSelector
    ingress?: { from?: NetworkPolicyPeer[] }[]
    egress?: { to?: NetworkPolicyPeer[] }[]
    policyTypes?: string[]
  }
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
    hostPath?: { path: string; type?: string }
    nodeAffinity?: { required?: { nodeSelectorTerms: NodeSelectorTerm[] } }
  }
  status?: { phase?: string; reason?: string; message?: string }
}

export interface PersistentVolumeClaim extends KubernetesObject {
  spec: {
    accessModes?: string[]
    resources?: ResourceRequirements
    selector?: LabelSelector
    storageClassName?: string
    volumeAttributesClassName?: string
    volumeMode?: string
    volumeName?: string
  }
  status?: { phase?: string; capacity?: Record<string, string>; accessModes?: string[] }
}

export interface StorageClass extends KubernetesObject {
  provisioner: string
  parameters?: Record<string, string>
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
  spec: {
    hard?: Record<string, string>
    scopes?: string[]
    scopeSelector?: { matchExpressions?: { scopeName: string; operator: string; values?: string[] }[] }
  }
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

export interface EndpointAddress {
  ip: string
  hostname?: string
  nodeName?: string
  targetRef?: ObjectReference
}

export interface Endpoints extends KubernetesObject {
  subsets?: {
    addresses?: EndpointAddress[]
    notReadyAddresses?: EndpointAddress[]
    ports?: { name?: string; port: number; protocol: string; appProtocol?: string }[]
  }[]
}

/** `autoscaling/v1` Scale. */
export interface Scale extends KubernetesObject {
  spec: { replicas: number }
  status: { replicas: number; selector?: string }
}

/** `apiregistration.k8s.io/v1`: who serves a version of a group. */
export interface ApiService extends KubernetesObject {
  spec: {
    /** Undefined: this server itself. */
    service?: { namespace?: string; name?: string; port?: number }
    group?: string
    version: string
    insecureSkipTLSVerify?: boolean
    /** Base64 of certificates in PEM. */
    caBundle?: string
    groupPriorityMinimum: number
    versionPriority: number
  }
  status?: { conditions?: Condition[] }
}
