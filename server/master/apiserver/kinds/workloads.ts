/** Deployments, replica sets, stateful sets, daemon sets and replication controllers. */
import type { Frozen } from '../json.ts'
import type {
  DaemonSet,
  Deployment,
  LabelSelector,
  ReplicaSet,
  ReplicationController,
  StatefulSet,
  Workload,
} from '../objects.ts'
import {
  daemonSetPrinter,
  deploymentPrinter,
  replicaSetPrinter,
  replicationControllerPrinter,
  statefulSetPrinter,
} from '../printing/index.ts'
import { type FieldProblem, forbiddenField, invalid, required } from '../problems.ts'
import { isEmptySelector, selectorMatches, selectorText } from '../selection/index.ts'
import { changedFields } from './changed-fields.ts'
import { completeTemplate, validateTemplate } from './pod-template.ts'
import { validateSelector } from './selectors.ts'
import { defineStrategy, type KindStrategy, selectableFields } from './strategy.ts'

const ALWAYS = ['Always']
const IMMUTABLE = 'field is immutable'

/** Problems of whole numbers that must not be negative. */
export function validateCounts(
  spec: Readonly<Record<string, unknown>>,
  fields: readonly string[],
): FieldProblem[] {
  return fields.flatMap(field => {
    const value = spec[field]
    return typeof value === 'number' && value < 0
      ? [invalid(`spec.${field}`, value, 'must be greater than or equal to 0')]
      : []
  })
}

const COUNTS = ['replicas', 'minReadySeconds', 'revisionHistoryLimit', 'progressDeadlineSeconds']

/** @param claims names of the volumes that every pod gets besides those of the template */
function validateWorkload(object: Workload, claims: readonly string[] = []): FieldProblem[] {
  const { spec } = object
  const problems = [
    ...validateCounts(spec as unknown as Record<string, unknown>, COUNTS),
    ...validateTemplate(spec.template, 'spec.template', ALWAYS, claims),
  ]
  const { selector } = spec
  if (selector === undefined || isEmptySelector(selector)) {
    problems.push(invalid('spec.selector', selector ?? null, 'empty selector is invalid for this kind'))
    return problems
  }
  problems.push(...validateSelector(selector, 'spec.selector'))
  const labels = spec.template.metadata?.labels ?? {}
  if (!selectorMatches(selector, labels)) {
    problems.push(
      invalid('spec.template.metadata.labels', labels, '`selector` does not match template `labels`'),
    )
  }
  return problems
}

function validateSelectorUpdate(object: Workload, old: Frozen<Workload>): FieldProblem[] {
  return changedFields(object.spec, old.spec).includes('selector')
    ? [invalid('spec.selector', object.spec.selector ?? null, IMMUTABLE)]
    : []
}

/** How the scale subresource sees a workload with `spec.replicas` and a selector. */
export const replicasScale: NonNullable<KindStrategy['scale']> = {
  read(object) {
    const { spec, status } = object as unknown as Frozen<Workload>
    return {
      wanted: spec.replicas ?? 0,
      actual: status?.replicas ?? 0,
      selector: selectorText(spec.selector as Frozen<LabelSelector> | undefined),
    }
  },
  write(object, replicas) {
    const workload = object as unknown as Workload
    workload.spec.replicas = replicas
  },
}

function workload<T extends Workload>(special: Partial<KindStrategy<T>>): KindStrategy {
  return defineStrategy<T>({
    countsGenerations: true,
    prepareCreate(object) {
      object.status = {}
    },
    validate: object => validateWorkload(object),
    validateUpdate: validateSelectorUpdate,
    ...special,
  })
}

const statusReplicas = selectableFields<Workload>({
  'status.replicas': ({ status }) => String(status?.replicas ?? 0),
})

export const deploymentStrategy = workload<Deployment>({
  printer: deploymentPrinter,
  scale: replicasScale,
  complete({ spec }) {
    completeTemplate(spec.template)
    if (spec.strategy?.type === 'RollingUpdate') {
      spec.strategy.rollingUpdate = { maxSurge: '25%', maxUnavailable: '25%', ...spec.strategy.rollingUpdate }
    }
  },
  validate(deployment) {
    const { strategy } = deployment.spec
    const problems = validateWorkload(deployment)
    if (strategy?.type === 'Recreate' && strategy.rollingUpdate !== undefined) {
      problems.push(
        forbiddenField(
          'spec.strategy.rollingUpdate',
          "may not be specified when strategy `type` is 'Recreate'",
        ),
      )
    }
    const { maxSurge, maxUnavailable } = strategy?.rollingUpdate ?? {}
    if (isNothing(maxSurge) && isNothing(maxUnavailable) && strategy?.type === 'RollingUpdate') {
      problems.push(
        invalid(
          'spec.strategy.rollingUpdate.maxUnavailable',
          maxUnavailable,
          'may not be 0 when `maxSurge` is 0',
        ),
      )
    }
    return problems
  },
})

function isNothing(value: number | string | undefined): boolean {
  return value === 0 || value === '0%'
}

export const replicaSetStrategy = workload<ReplicaSet>({
  printer: replicaSetPrinter,
  scale: replicasScale,
  selectable: statusReplicas,
  prepareCreate(set) {
    set.status = { replicas: 0 }
  },
  complete({ spec }) {
    completeTemplate(spec.template)
  },
})

export const daemonSetStrategy = workload<DaemonSet>({
  printer: daemonSetPrinter,
  prepareCreate(set) {
    set.status = {
      currentNumberScheduled: 0,
      desiredNumberScheduled: 0,
      numberMisscheduled: 0,
      numberReady: 0,
    }
  },
  complete({ spec }) {
    completeTemplate(spec.template)
    if (spec.updateStrategy?.type === 'RollingUpdate') {
      spec.updateStrategy.rollingUpdate = {
        maxSurge: 0,
        maxUnavailable: 1,
        ...spec.updateStrategy.rollingUpdate,
      }
    }
  },
})

/** Everything else of a stateful set stays as it was made. */
const STATEFUL_MAY_CHANGE = new Set([
  'minReadySeconds',
  'ordinals',
  'persistentVolumeClaimRetentionPolicy',
  'replicas',
  'revisionHistoryLimit',
  'template',
  'updateStrategy',
])

export const statefulSetStrategy = workload<StatefulSet>({
  printer: statefulSetPrinter,
  scale: replicasScale,
  prepareCreate(set) {
    set.status = { replicas: 0, availableReplicas: 0 }
  },
  complete({ spec }) {
    completeTemplate(spec.template)
    if (spec.updateStrategy?.type === 'RollingUpdate') {
      spec.updateStrategy.rollingUpdate = { partition: 0, ...spec.updateStrategy.rollingUpdate }
    }
    for (const claim of spec.volumeClaimTemplates ?? []) {
      claim.apiVersion ??= 'v1'
      claim.kind ??= 'PersistentVolumeClaim'
      claim.spec.volumeMode ??= 'Filesystem'
      claim.status = { phase: 'Pending' }
    }
  },
  validate: set =>
    validateWorkload(
      set,
      (set.spec.volumeClaimTemplates ?? []).map(({ metadata }) => metadata.name),
    ),
  validateUpdate(set, old) {
    const changed = changedFields(set.spec, old.spec).some(field => !STATEFUL_MAY_CHANGE.has(field))
    return changed
      ? [
          forbiddenField(
            'spec',
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
          ),
        ]
      : []
  },
})

export const replicationControllerStrategy = defineStrategy<ReplicationController>({
  printer: replicationControllerPrinter,
  countsGenerations: true,
  selectable: selectableFields<ReplicationController>({
    'status.replicas': ({ status }) => String(status?.replicas ?? 0),
  }),
  scale: {
    read(object) {
      const { spec, status } = object as unknown as Frozen<ReplicationController>
      return {
        wanted: spec.replicas ?? 0,
        actual: status?.replicas ?? 0,
        selector: selectorText({ matchLabels: spec.selector ?? {} }),
      }
    },
    write: replicasScale.write,
  },
  prepareCreate(controller) {
    controller.status = { replicas: 0 }
  },
  complete({ spec, metadata }) {
    completeTemplate(spec.template)
    const labels = spec.template?.metadata?.labels
    if (labels === undefined) return
    if (Object.keys(spec.selector ?? {}).length === 0) spec.selector = { ...labels }
    if (Object.keys(metadata.labels ?? {}).length === 0) metadata.labels = { ...labels }
  },
  validate({ spec }) {
    const problems = validateCounts(spec as unknown as Record<string, unknown>, COUNTS)
    if (spec.template === undefined) return [...problems, required('spec.template')]
    problems.push(...validateTemplate(spec.template, 'spec.template', ALWAYS))
    if (Object.keys(spec.selector ?? {}).length === 0) problems.push(required('spec.selector'))
    const labels = spec.template.metadata?.labels ?? {}
    if (!selectorMatches({ matchLabels: spec.selector ?? {} }, labels)) {
      problems.push(
        invalid('spec.template.metadata.labels', labels, '`selector` does not match template `labels`'),
      )
    }
    return problems
  },
})
