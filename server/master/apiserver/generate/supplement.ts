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

const WEBHOOK = {
  failurePolicy: { default: 'Fail', enum: ['Fail', 'Ignore'] },
  matchPolicy: { default: 'Equivalent', enum: ['Equivalent', 'Exact'] },
  timeoutSeconds: { default: 10 },
  namespaceSelector: { default: {} },
  objectSelector: { default: {} },
} as const

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
  'api.core.v1.ReplicationControllerSpec': { replicas: { default: 1, zero: true } },
  'api.core.v1.PersistentVolumeSpec': {
    persistentVolumeReclaimPolicy: { default: 'Retain', enum: ['Delete', 'Recycle', 'Retain'] },
    volumeMode: { default: 'Filesystem', enum: ['Block', 'Filesystem'] },
  },
  'api.core.v1.PersistentVolumeClaimStatus': { phase: { enum: ['', 'Bound', 'Lost', 'Pending'] } },
  'api.core.v1.EndpointPort': { protocol: { default: 'TCP', enum: ['SCTP', 'TCP', 'UDP'] } },
  'api.core.v1.LimitRangeItem': { type: { enum: ['Container', 'PersistentVolumeClaim', 'Pod'] } },
  'api.apps.v1.DeploymentSpec': {
    replicas: { default: 1, zero: true },
    revisionHistoryLimit: { default: 10, zero: true },
    progressDeadlineSeconds: { default: 600, zero: true },
    strategy: { default: {} },
  },
  'api.apps.v1.DeploymentStrategy': {
    type: { default: 'RollingUpdate', enum: ['Recreate', 'RollingUpdate'] },
  },
  'api.apps.v1.RollingUpdateDeployment': { maxSurge: { default: '25%' }, maxUnavailable: { default: '25%' } },
  'api.apps.v1.ReplicaSetSpec': { replicas: { default: 1, zero: true } },
  'api.apps.v1.StatefulSetSpec': {
    replicas: { default: 1, zero: true },
    revisionHistoryLimit: { default: 10, zero: true },
    podManagementPolicy: { default: 'OrderedReady', enum: ['OrderedReady', 'Parallel'] },
    updateStrategy: { default: {} },
    persistentVolumeClaimRetentionPolicy: { default: {} },
  },
  'api.apps.v1.StatefulSetUpdateStrategy': {
    type: { default: 'RollingUpdate', enum: ['OnDelete', 'RollingUpdate'] },
  },
  'api.apps.v1.RollingUpdateStatefulSetStrategy': { partition: { default: 0, zero: true } },
  'api.apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicy': {
    whenDeleted: { default: 'Retain', enum: ['Delete', 'Retain'] },
    whenScaled: { default: 'Retain', enum: ['Delete', 'Retain'] },
  },
  'api.apps.v1.DaemonSetSpec': {
    revisionHistoryLimit: { default: 10, zero: true },
    updateStrategy: { default: {} },
  },
  'api.apps.v1.DaemonSetUpdateStrategy': {
    type: { default: 'RollingUpdate', enum: ['OnDelete', 'RollingUpdate'] },
  },
  'api.apps.v1.RollingUpdateDaemonSet': { maxSurge: { default: 0 }, maxUnavailable: { default: 1 } },
  'api.batch.v1.JobSpec': {
    backoffLimit: ZERO,
    completions: ZERO,
    parallelism: ZERO,
    ttlSecondsAfterFinished: ZERO,
    completionMode: { default: 'NonIndexed', enum: ['Indexed', 'NonIndexed'] },
    suspend: { default: false, zero: true },
  },
  'api.batch.v1.CronJobSpec': {
    concurrencyPolicy: { default: 'Allow', enum: ['Allow', 'Forbid', 'Replace'] },
    suspend: { default: false, zero: true },
    successfulJobsHistoryLimit: { default: 3, zero: true },
    failedJobsHistoryLimit: { default: 1, zero: true },
    startingDeadlineSeconds: ZERO,
  },
  'api.autoscaling.v2.HorizontalPodAutoscalerSpec': { minReplicas: { default: 1, zero: true } },
  'api.autoscaling.v1.HorizontalPodAutoscalerSpec': { minReplicas: { default: 1, zero: true } },
  'api.networking.v1.HTTPIngressPath': {
    pathType: { enum: ['Exact', 'ImplementationSpecific', 'Prefix'] },
  },
  'api.networking.v1.NetworkPolicyPort': { protocol: { default: 'TCP', enum: ['SCTP', 'TCP', 'UDP'] } },
  'api.storage.v1.StorageClass': {
    reclaimPolicy: { default: 'Delete', enum: ['Delete', 'Recycle', 'Retain'] },
    volumeBindingMode: { default: 'Immediate', enum: ['Immediate', 'WaitForFirstConsumer'] },
  },
  'api.storage.v1.CSIDriverSpec': {
    attachRequired: { default: true, zero: true },
    podInfoOnMount: { default: false, zero: true },
    storageCapacity: { default: false, zero: true },
    requiresRepublish: { default: false, zero: true },
    seLinuxMount: { default: false, zero: true },
    fsGroupPolicy: {
      default: 'ReadWriteOnceWithFSType',
      enum: ['File', 'None', 'ReadWriteOnceWithFSType'],
    },
    volumeLifecycleModes: { default: ['Persistent'] },
  },
  'api.scheduling.v1.PriorityClass': {
    preemptionPolicy: { default: 'PreemptLowerPriority', enum: ['Never', 'PreemptLowerPriority'] },
  },
  'api.policy.v1.PodDisruptionBudgetSpec': {
    unhealthyPodEvictionPolicy: { enum: ['AlwaysAllow', 'IfHealthyBudget'] },
  },
  'api.rbac.v1.RoleRef': { apiGroup: { default: 'rbac.authorization.k8s.io' } },
  'api.admissionregistration.v1.ServiceReference': { port: { default: 443, zero: true } },
  'api.admissionregistration.v1.ValidatingWebhook': WEBHOOK,
  'api.admissionregistration.v1.MutatingWebhook': {
    ...WEBHOOK,
    reinvocationPolicy: { default: 'Never', enum: ['IfNeeded', 'Never'] },
  },
  'api.admissionregistration.v1.RuleWithOperations': {
    scope: { default: '*', enum: ['*', 'Cluster', 'Namespaced'] },
  },
  'api.admissionregistration.v1.NamedRuleWithOperations': {
    scope: { default: '*', enum: ['*', 'Cluster', 'Namespaced'] },
  },
  'api.admissionregistration.v1.MatchResources': {
    matchPolicy: { default: 'Equivalent', enum: ['Equivalent', 'Exact'] },
    namespaceSelector: { default: {} },
    objectSelector: { default: {} },
  },
  'api.admissionregistration.v1.ValidatingAdmissionPolicySpec': {
    failurePolicy: { default: 'Fail', enum: ['Fail', 'Ignore'] },
  },
  'api.admissionregistration.v1.MutatingAdmissionPolicySpec': {
    failurePolicy: { default: 'Fail', enum: ['Fail', 'Ignore'] },
  },
  'api.flowcontrol.v1.FlowSchemaSpec': { matchingPrecedence: { default: 1000 } },
  'api.flowcontrol.v1.LimitedPriorityLevelConfiguration': {
    nominalConcurrencyShares: { default: 30, zero: true },
    lendablePercent: { default: 0, zero: true },
  },
  'api.flowcontrol.v1.QueuingConfiguration': {
    queues: { default: 64 },
    handSize: { default: 8 },
    queueLengthLimit: { default: 50 },
  },
  'api.flowcontrol.v1.ExemptPriorityLevelConfiguration': {
    nominalConcurrencyShares: { default: 0, zero: true },
    lendablePercent: { default: 0, zero: true },
  },
  'apimachinery.pkg.apis.meta.v1.ObjectMeta': { deletionGracePeriodSeconds: ZERO },
  'apimachinery.pkg.apis.meta.v1.DeleteOptions': { gracePeriodSeconds: ZERO },
  'api.core.v1.Secret': { type: { default: 'Opaque' } },
  'apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement': {
    operator: { enum: ['DoesNotExist', 'Exists', 'In', 'NotIn'] },
  },
}
