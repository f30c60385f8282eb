/** Horizontal pod autoscalers: kept as `autoscaling/v2`, with `autoscaling/v1` as a second face. */
import type { JsonObject, JsonValue } from '../json.ts'
import type { HorizontalPodAutoscaler } from '../objects.ts'
import { autoscalerPrinter } from '../printing/index.ts'
import { type FieldProblem, invalid, required } from '../problems.ts'
import { defineStrategy } from './strategy.ts'

const DEFAULT_UTILIZATION = 80
/** Where `autoscaling/v1` keeps what it has no fields for. */
const METRICS_ANNOTATION = 'autoscaling.alpha.kubernetes.io/metrics'
const BEHAVIOR_ANNOTATION = 'autoscaling.alpha.kubernetes.io/behavior'

export const autoscalerStrategy = defineStrategy<HorizontalPodAutoscaler>({
  printer: autoscalerPrinter,
  prepareCreate(autoscaler) {
    autoscaler.status = { currentReplicas: 0, desiredReplicas: 0 }
  },
  complete({ spec }) {
    if ((spec.metrics ?? []).length > 0) return
    spec.metrics = [
      {
        type: 'Resource',
        resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: DEFAULT_UTILIZATION } },
      },
    ]
  },
  validate({ spec }) {
    const problems: FieldProblem[] = []
    const { minReplicas = 1, maxReplicas, scaleTargetRef } = spec
    if (minReplicas < 1) {
      problems.push(invalid('spec.minReplicas', minReplicas, 'must be greater than or equal to 1'))
    }
    if (maxReplicas < 1) problems.push(invalid('spec.maxReplicas', maxReplicas, 'must be greater than 0'))
    if (maxReplicas < minReplicas) {
      problems.push(
        invalid('spec.maxReplicas', maxReplicas, 'must be greater than or equal to `minReplicas`'),
      )
    }
    for (const field of ['kind', 'name'] as const) {
      if (scaleTargetRef[field] === '') problems.push(required(`spec.scaleTargetRef.${field}`))
    }
    return problems
  },
})

interface OldSpec {
  targetCPUUtilizationPercentage?: number
  metrics?: JsonObject[]
  behavior?: JsonValue
}

function isCpu(metric: JsonObject): boolean {
  const { resource } = metric as { resource?: { name?: string; target?: { type?: string } } }
  return metric.type === 'Resource' && resource?.name === 'cpu' && resource.target?.type === 'Utilization'
}

/** A kept autoscaler as `autoscaling/v1` shows it. */
export function toFirstAutoscaler(object: JsonObject): JsonObject {
  const { spec, status, metadata } = object as {
    spec: OldSpec & JsonObject
    status?: JsonObject
    metadata: JsonObject
  }
  const { metrics = [], behavior, ...kept } = spec
  const cpu = metrics.find(isCpu) as { resource: { target: { averageUtilization?: number } } } | undefined
  const rest = metrics.filter(metric => metric !== (cpu as unknown))
  const utilization = cpu?.resource.target.averageUtilization
  const annotations = {
    ...(metadata.annotations as JsonObject | undefined),
    ...(rest.length === 0 ? {} : { [METRICS_ANNOTATION]: JSON.stringify(rest) }),
    ...(behavior === undefined ? {} : { [BEHAVIOR_ANNOTATION]: JSON.stringify(behavior) }),
  }
  const { currentMetrics: _, conditions: __, ...oldStatus } = status ?? {}
  return {
    ...object,
    apiVersion: 'autoscaling/v1',
    metadata: { ...metadata, ...(Object.keys(annotations).length === 0 ? {} : { annotations }) },
    spec: { ...kept, ...(utilization === undefined ? {} : { targetCPUUtilizationPercentage: utilization }) },
    status: oldStatus,
  } as JsonObject
}

function parseAnnotation(text: unknown): JsonValue | undefined {
  if (typeof text !== 'string') return undefined
  try {
    return JSON.parse(text) as JsonValue
  } catch (error) {
    // What somebody wrote there by hand is not what this server put there.
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** An autoscaler of `autoscaling/v1` as it is kept. */
export function fromFirstAutoscaler(object: JsonObject): JsonObject {
  const { spec, metadata } = object as { spec?: OldSpec & JsonObject; metadata: JsonObject }
  const { targetCPUUtilizationPercentage: utilization, ...kept } = spec ?? {}
  const {
    [METRICS_ANNOTATION]: metricsText,
    [BEHAVIOR_ANNOTATION]: behaviorText,
    ...annotations
  } = (metadata.annotations as JsonObject | undefined) ?? {}
  const others = parseAnnotation(metricsText)
  const behavior = parseAnnotation(behaviorText)
  const metrics = [
    ...(Array.isArray(others) ? others : []),
    ...(utilization === undefined
      ? []
      : [
          {
            type: 'Resource',
            resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: utilization } },
          },
        ]),
  ]
  const { annotations: _, ...bare } = metadata
  return {
    ...object,
    apiVersion: 'autoscaling/v2',
    metadata: { ...bare, ...(Object.keys(annotations).length === 0 ? {} : { annotations }) },
    spec: {
      ...kept,
      ...(metrics.length === 0 ? {} : { metrics }),
      ...(behavior === undefined ? {} : { behavior }),
    },
  } as JsonObject
}
