/** How `kubectl get` shows workloads: columns and words are Kubernetes' (`pkg/printers/internalversion`). */
import type { Frozen } from '../json.ts'
import type {
  CronJob,
  DaemonSet,
  Deployment,
  HorizontalPodAutoscaler,
  Job,
  LabelSelector,
  PodDisruptionBudget,
  PodSpec,
  ReplicaSet,
  ReplicationController,
  StatefulSet,
} from '../objects.ts'
import { selectorText } from '../selection/index.ts'
import { AGE_COLUMN, NAME_COLUMN, numberColumn, type Printer, textColumn, wide } from './column.ts'
import { humanDuration, since } from './duration.ts'

const CONTAINERS = wide(textColumn('Containers', 'Names of the containers.'))
const IMAGES = wide(textColumn('Images', 'Images of the containers.'))
const SELECTOR = wide(textColumn('Selector', 'Labels of the pods.'))

function containers(spec: Frozen<PodSpec> | undefined): [names: string, images: string] {
  const list = spec?.containers ?? []
  return [list.map(({ name }) => name).join(','), list.map(({ image = '' }) => image).join(',')]
}

function selected(selector: Frozen<LabelSelector> | undefined): string {
  const text = selectorText(selector)
  return text === '' ? '<none>' : text
}

export const deploymentPrinter: Printer<Deployment> = {
  columns: [
    NAME_COLUMN,
    textColumn('Ready', 'Ready pods of wanted ones.'),
    numberColumn('Up-to-date', 'Pods of the newest template.'),
    numberColumn('Available', 'Pods that are available.'),
    AGE_COLUMN,
    CONTAINERS,
    IMAGES,
    SELECTOR,
  ],
  cells: ({ metadata, spec, status }, now) => [
    metadata.name,
    `${status?.readyReplicas ?? 0}/${spec.replicas ?? 0}`,
    status?.updatedReplicas ?? 0,
    status?.availableReplicas ?? 0,
    since(metadata.creationTimestamp, now),
    ...containers(spec.template.spec),
    selected(spec.selector),
  ],
}

export const replicaSetPrinter: Printer<ReplicaSet> = {
  columns: [
    NAME_COLUMN,
    numberColumn('Desired', 'Pods that are wanted.'),
    numberColumn('Current', 'Pods that there are.'),
    numberColumn('Ready', 'Pods that are ready.'),
    AGE_COLUMN,
    CONTAINERS,
    IMAGES,
    SELECTOR,
  ],
  cells: ({ metadata, spec, status }, now) => [
    metadata.name,
    spec.replicas ?? 0,
    status?.replicas ?? 0,
    status?.readyReplicas ?? 0,
    since(metadata.creationTimestamp, now),
    ...containers(spec.template.spec),
    selected(spec.selector),
  ],
}

export const replicationControllerPrinter: Printer<ReplicationController> = {
  columns: replicaSetPrinter.columns,
  cells: ({ metadata, spec, status }, now) => [
    metadata.name,
    spec.replicas ?? 0,
    status?.replicas ?? 0,
    status?.readyReplicas ?? 0,
    since(metadata.creationTimestamp, now),
    ...containers(spec.template?.spec),
    selected({ matchLabels: spec.selector ?? {} }),
  ],
}

export const statefulSetPrinter: Printer<StatefulSet> = {
  columns: [NAME_COLUMN, textColumn('Ready', 'Ready pods of wanted ones.'), AGE_COLUMN, CONTAINERS, IMAGES],
  cells: ({ metadata, spec, status }, now) => [
    metadata.name,
    `${status?.readyReplicas ?? 0}/${spec.replicas ?? 0}`,
    since(metadata.creationTimestamp, now),
    ...containers(spec.template.spec),
  ],
}

export const daemonSetPrinter: Printer<DaemonSet> = {
  columns: [
    NAME_COLUMN,
    numberColumn('Desired', 'Nodes that should have a pod.'),
    numberColumn('Current', 'Nodes that have one.'),
    numberColumn('Ready', 'Nodes whose pod is ready.'),
    numberColumn('Up-to-date', 'Nodes with a pod of the newest template.'),
    numberColumn('Available', 'Nodes whose pod is available.'),
    textColumn('Node Selector', 'Labels of the nodes.'),
    AGE_COLUMN,
    CONTAINERS,
    IMAGES,
    SELECTOR,
  ],
  cells: ({ metadata, spec, status }, now) => [
    metadata.name,
    status?.desiredNumberScheduled ?? 0,
    status?.currentNumberScheduled ?? 0,
    status?.numberReady ?? 0,
    status?.updatedNumberScheduled ?? 0,
    status?.numberAvailable ?? 0,
    selected({ matchLabels: spec.template.spec.nodeSelector ?? {} }),
    since(metadata.creationTimestamp, now),
    ...containers(spec.template.spec),
    selected(spec.selector),
  ],
}

function jobStatus({ spec, status, metadata }: Frozen<Job>): string {
  const is = (type: string) =>
    status?.conditions?.some(condition => condition.type === type && condition.status === 'True') === true
  if (is('Complete')) return 'Complete'
  if (is('Failed')) return 'Failed'
  if (metadata.deletionTimestamp !== undefined) return 'Terminating'
  if (is('Suspended') || spec.suspend === true) return 'Suspended'
  if (is('FailureTarget')) return 'FailureTarget'
  return is('SuccessCriteriaMet') ? 'SuccessCriteriaMet' : 'Running'
}

function jobCompletions({ spec, status }: Frozen<Job>): string {
  const done = status?.succeeded ?? 0
  if (spec.completions !== undefined) return `${done}/${spec.completions}`
  const parallel = spec.parallelism ?? 0
  return parallel > 1 ? `${done}/1 of ${parallel}` : `${done}/1`
}

function jobDuration({ status }: Frozen<Job>, now: number): string {
  const { startTime, completionTime } = status ?? {}
  if (startTime === undefined) return ''
  const end = completionTime === undefined ? now : Date.parse(completionTime)
  return humanDuration(end - Date.parse(startTime))
}

export const jobPrinter: Printer<Job> = {
  columns: [
    NAME_COLUMN,
    textColumn('Status', 'How far it is.'),
    textColumn('Completions', 'Pods that succeeded of those that should.'),
    textColumn('Duration', 'From the start to the end.'),
    AGE_COLUMN,
    CONTAINERS,
    IMAGES,
    SELECTOR,
  ],
  cells: (job, now) => [
    job.metadata.name,
    jobStatus(job),
    jobCompletions(job),
    jobDuration(job, now),
    since(job.metadata.creationTimestamp, now),
    ...containers(job.spec.template.spec),
    selected(job.spec.selector),
  ],
}

export const cronJobPrinter: Printer<CronJob> = {
  columns: [
    NAME_COLUMN,
    textColumn('Schedule', 'When it runs.'),
    textColumn('Timezone', 'Where that time is meant.'),
    textColumn('Suspend', 'Whether it is suspended.'),
    numberColumn('Active', 'Jobs that run.'),
    textColumn('Last Schedule', 'Time since it ran last.'),
    AGE_COLUMN,
    CONTAINERS,
    IMAGES,
    SELECTOR,
  ],
  cells: ({ metadata, spec, status }, now) => [
    metadata.name,
    spec.schedule,
    spec.timeZone ?? '<none>',
    spec.suspend === true ? 'True' : 'False',
    status?.active?.length ?? 0,
    status?.lastScheduleTime === undefined ? '<none>' : since(status.lastScheduleTime, now),
    since(metadata.creationTimestamp, now),
    ...containers(spec.jobTemplate.spec.template.spec),
    selected(spec.jobTemplate.spec.selector),
  ],
}

function autoscalerTargets({ spec, status }: Frozen<HorizontalPodAutoscaler>): string {
  const current = (status?.currentMetrics ?? []) as readonly {
    resource?: { name: string; current?: { averageUtilization?: number } }
  }[]
  const texts = (spec.metrics ?? []).map(({ type, resource }) => {
    if (resource === undefined) return `<unknown>/${type}`
    const now = current.find(metric => metric.resource?.name === resource.name)?.resource?.current
    const shown = now?.averageUtilization === undefined ? '<unknown>' : `${now.averageUtilization}%`
    return `${resource.name}: ${shown}/${resource.target.averageUtilization ?? '<auto>'}%`
  })
  return texts.length === 0 ? '<none>' : texts.join(', ')
}

export const autoscalerPrinter: Printer<HorizontalPodAutoscaler> = {
  columns: [
    NAME_COLUMN,
    textColumn('Reference', 'What is scaled.'),
    textColumn('Targets', 'Metrics as they are and as they should be.'),
    textColumn('MinPods', 'Fewest pods.'),
    textColumn('MaxPods', 'Most pods.'),
    textColumn('Replicas', 'Pods that there are.'),
    AGE_COLUMN,
  ],
  cells: (autoscaler, now) => {
    const { metadata, spec, status } = autoscaler
    return [
      metadata.name,
      `${spec.scaleTargetRef.kind}/${spec.scaleTargetRef.name}`,
      autoscalerTargets(autoscaler),
      spec.minReplicas === undefined ? '<unset>' : String(spec.minReplicas),
      String(spec.maxReplicas),
      String(status?.currentReplicas ?? 0),
      since(metadata.creationTimestamp, now),
    ]
  },
}

export const disruptionBudgetPrinter: Printer<PodDisruptionBudget> = {
  columns: [
    NAME_COLUMN,
    textColumn('Min Available', 'Pods that must stay.'),
    textColumn('Max Unavailable', 'Pods that may be gone.'),
    numberColumn('Allowed Disruptions', 'Pods that may be evicted now.'),
    AGE_COLUMN,
  ],
  cells: ({ metadata, spec, status }, now) => [
    metadata.name,
    spec.minAvailable === undefined ? 'N/A' : String(spec.minAvailable),
    spec.maxUnavailable === undefined ? 'N/A' : String(spec.maxUnavailable),
    status?.disruptionsAllowed ?? 0,
    since(metadata.creationTimestamp, now),
  ],
}
