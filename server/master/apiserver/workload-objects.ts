/** The kinds that make pods, as types: see `objects.ts`. */
import type {
  Condition,
  KubernetesObject,
  ObjectReference,
  PersistentVolumeClaim,
  PodSpec,
} from './objects.ts'

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
    persistentVolumeClaimRetentionPolicy?: { whenDeleted?: string; whenScaled?: string }
  }
  status?: Workload['status'] & {
    currentReplicas?: number
    updatedReplicas?: number
    currentRevision?: string
    updateRevision?: string
    collisionCount?: number
  }
}

/** A template that a workload had: `data` is a patch that brings it back. */
export interface ControllerRevision extends KubernetesObject {
  revision: number
  data?: { spec?: { template?: PodTemplateSpec } }
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
  maxFailedIndexes?: number
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
    concurrencyPolicy?: string
    startingDeadlineSeconds?: number
    successfulJobsHistoryLimit?: number
    failedJobsHistoryLimit?: number
    jobTemplate: {
      metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> }
      spec: JobSpec
    }
  }
  status?: { active?: ObjectReference[]; lastScheduleTime?: string; lastSuccessfulTime?: string }
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
  spec: {
    minAvailable?: number | string
    maxUnavailable?: number | string
    selector?: LabelSelector
    unhealthyPodEvictionPolicy?: string
  }
  status?: {
    observedGeneration?: number
    conditions?: Condition[]
    /** When the eviction of a pod was allowed, by its name: it is not gone yet. */
    disruptedPods?: Record<string, string>
    disruptionsAllowed?: number
    currentHealthy?: number
    desiredHealthy?: number
    expectedPods?: number
  }
}
