/**
 * What an API server knows of its fields but does not publish in OpenAPI: values that a field may have, and defaults
 * that do not depend on anything else in the object. Defaults with conditions are in the kinds' strategies.
 *
 * Source: the field documentation of the Kubernetes API reference, "Defaults to …" and "Must be one of …".
 */

interface FieldSupplement {
  readonly default?: unknown
  readonly enum?: readonly string[]
  /** Zero or empty means something else than absent: the field is a pointer in Kubernetes' types. */
  readonly zero?: true
}

const ZERO = { zero: true } as const

const PROBE = {
  timeoutSeconds: { default: 1 },
  periodSeconds: { default: 10 },
  successThreshold: { default: 1 },
  failureThreshold: { default: 3 },
  terminationGracePeriodSeconds: ZERO,
}

const CONTAINER = {
  imagePullPolicy: { enum: ['Always', 'IfNotPresent', 'Never'] },
  terminationMessagePath: { default: '/dev/termination-log' },
  terminationMessagePolicy: { default: 'File', enum: ['File', 'FallbackToLogsOnError'] },
}

const FILE_MODE = { defaultMode: { default: 420, zero: true } } as const
const OWNERS = { runAsUser: ZERO, runAsGroup: ZERO }

/** By definition, then field. */
export const SUPPLEMENT: Readonly<Record<string, Readonly<Record<string, FieldSupplement>>>> = {
  'api.core.v1.PodSpec': {
    restartPolicy: { default: 'Always', enum: ['Always', 'Never', 'OnFailure'] },
    dnsPolicy: {
      default: 'ClusterFirst',
      enum: ['ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'],
    },
    terminationGracePeriodSeconds: { default: 30, zero: true },
    activeDeadlineSeconds: ZERO,
    priority: ZERO,
    securityContext: { default: {} },
    schedulerName: { default: 'default-scheduler' },
    enableServiceLinks: { default: true },
    preemptionPolicy: { enum: ['Never', 'PreemptLowerPriority'] },
  },
  'api.core.v1.Container': CONTAINER,
  'api.core.v1.EphemeralContainer': CONTAINER,
  'api.core.v1.ContainerPort': { protocol: { default: 'TCP', enum: ['SCTP', 'TCP', 'UDP'] } },
  'api.core.v1.Probe': PROBE,
  'api.core.v1.HTTPGetAction': {
    path: { default: '/' },
    scheme: { default: 'HTTP', enum: ['HTTP', 'HTTPS'] },
  },
  'api.core.v1.ObjectFieldSelector': { apiVersion: { default: 'v1' } },
  'api.core.v1.SecretVolumeSource': FILE_MODE,
  'api.core.v1.ConfigMapVolumeSource': FILE_MODE,
  'api.core.v1.DownwardAPIVolumeSource': FILE_MODE,
  'api.core.v1.ProjectedVolumeSource': FILE_MODE,
  'api.core.v1.ServiceAccountTokenProjection': { expirationSeconds: { default: 3600, zero: true } },
  'api.core.v1.HostPathVolumeSource': {
    type: {
      default: '',
      zero: true,
      enum: [
        '',
        'BlockDevice',
        'CharDevice',
        'Directory',
        'DirectoryOrCreate',
        'File',
        'FileOrCreate',
        'Socket',
      ],
    },
  },
  'api.core.v1.Toleration': {
    operator: { enum: ['Equal', 'Exists', 'Gt', 'Lt'] },
    effect: { enum: ['', 'NoExecute', 'NoSchedule', 'PreferNoSchedule'] },
    tolerationSeconds: ZERO,
  },
  'api.core.v1.Taint': { effect: { enum: ['NoExecute', 'NoSchedule', 'PreferNoSchedule'] } },
  'api.core.v1.NodeSelectorRequirement': {
    operator: { enum: ['DoesNotExist', 'Exists', 'Gt', 'In', 'Lt', 'NotIn'] },
  },
  'api.core.v1.TopologySpreadConstraint': {
    whenUnsatisfiable: { enum: ['DoNotSchedule', 'ScheduleAnyway'] },
    nodeAffinityPolicy: { enum: ['Honor', 'Ignore'] },
    nodeTaintsPolicy: { enum: ['Honor', 'Ignore'] },
  },
  'api.core.v1.PodStatus': { phase: { enum: ['', 'Failed', 'Pending', 'Running', 'Succeeded', 'Unknown'] } },
  'api.core.v1.PodCondition': { status: { enum: ['False', 'True', 'Unknown'] } },
  'api.core.v1.NodeCondition': { status: { enum: ['False', 'True', 'Unknown'] } },
  'api.core.v1.ServiceSpec': {
    sessionAffinity: { default: 'None', enum: ['ClientIP', 'None'] },
    type: { default: 'ClusterIP', enum: ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'] },
    externalTrafficPolicy: { enum: ['Cluster', 'Local'] },
    internalTrafficPolicy: { enum: ['Cluster', 'Local'] },
    ipFamilyPolicy: { enum: ['PreferDualStack', 'RequireDualStack', 'SingleStack'] },
  },
  'api.core.v1.ServicePort': { protocol: { default: 'TCP', enum: ['SCTP', 'TCP', 'UDP'] } },
  'api.core.v1.ClientIPConfig': { timeoutSeconds: { default: 10_800, zero: true } },
  'api.core.v1.SecurityContext': OWNERS,
  'api.core.v1.PodSecurityContext': { ...OWNERS, fsGroup: ZERO },
  'api.core.v1.KeyToPath': { mode: ZERO },
  'api.core.v1.DownwardAPIVolumeFile': { mode: ZERO },
  'api.core.v1.PersistentVolumeClaimSpec': { storageClassName: ZERO },
  'api.coordination.v1.LeaseSpec': { leaseDurationSeconds: ZERO, leaseTransitions: ZERO },
  'apimachinery.pkg.apis.meta.v1.ObjectMeta': { deletionGracePeriodSeconds: ZERO },
  'apimachinery.pkg.apis.meta.v1.DeleteOptions': { gracePeriodSeconds: ZERO },
  'api.core.v1.Secret': { type: { default: 'Opaque' } },
  'apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement': {
    operator: { enum: ['DoesNotExist', 'Exists', 'In', 'NotIn'] },
  },
}
