/** `apiextensions.k8s.io/v1` CustomResourceDefinition, as far as the server reads it. */
import type { Frozen, JsonObject } from '../json.ts'
import type { KubernetesObject } from '../objects.ts'
import type { WebhookClientConfig } from '../webhook-client/index.ts'

export interface DefinitionNames {
  plural: string
  singular?: string
  kind: string
  listKind?: string
  shortNames?: string[]
  categories?: string[]
}

export interface PrinterColumn {
  name: string
  type: string
  format?: string
  description?: string
  priority?: number
  jsonPath: string
}

export interface ScalePaths {
  specReplicasPath: string
  statusReplicasPath: string
  labelSelectorPath?: string
}

export interface DefinitionVersion {
  name: string
  served: boolean
  storage: boolean
  deprecated?: boolean
  deprecationWarning?: string
  schema?: { openAPIV3Schema?: JsonObject }
  subresources?: { status?: JsonObject; scale?: ScalePaths }
  additionalPrinterColumns?: PrinterColumn[]
  selectableFields?: { jsonPath: string }[]
}

export interface DefinitionCondition {
  type: string
  status: string
  reason?: string
  message?: string
  lastTransitionTime?: string
}

export interface DefinitionStatus {
  conditions?: DefinitionCondition[]
  acceptedNames?: DefinitionNames
  storedVersions?: string[]
}

export interface CustomResourceDefinition extends KubernetesObject {
  spec: {
    group: string
    names: DefinitionNames
    scope: string
    versions: DefinitionVersion[]
    conversion?: {
      strategy: string
      webhook?: { clientConfig?: WebhookClientConfig; conversionReviewVersions?: string[] }
    }
    preserveUnknownFields?: boolean
  }
  status: DefinitionStatus
}

/** Who converts objects between versions; undefined where versions differ by name only. */
export function conversionOf({
  spec: { conversion },
}: Frozen<CustomResourceDefinition>): Frozen<WebhookClientConfig> | undefined {
  return conversion?.strategy === 'Webhook' ? conversion.webhook?.clientConfig : undefined
}

/** `kind` of the keys of definitions in the store. */
export const DEFINITIONS_KIND = 'apiextensions.k8s.io/customresourcedefinitions'
/** Holds a definition until its objects are gone. */
export const CLEANUP_FINALIZER = 'customresourcecleanup.apiextensions.k8s.io'

export function conditionOf(
  { status }: Frozen<CustomResourceDefinition>,
  type: string,
): Frozen<DefinitionCondition> | undefined {
  return status?.conditions?.find(condition => condition.type === type)
}

/** Whether the kind is served. */
export function isEstablished(definition: Frozen<CustomResourceDefinition>): boolean {
  return conditionOf(definition, 'Established')?.status === 'True'
}

const VERSION = /^v([1-9]\d{0,8})(?:(alpha|beta)([1-9]\d{0,8}))?$/
const STABILITY = ['alpha', 'beta', '']

/** Orders versions as discovery lists them: v10, v2, v1, v11beta2, v3beta1, v12alpha1, foo1, foo10. */
export function compareVersions(one: string, other: string): number {
  const a = VERSION.exec(one)
  const b = VERSION.exec(other)
  if (a === null || b === null) {
    if (a === null && b === null) return one < other ? -1 : one > other ? 1 : 0
    return a === null ? 1 : -1
  }
  const rank = (match: RegExpExecArray) => STABILITY.indexOf(match[2] ?? '')
  return rank(b) - rank(a) || Number(b[1]) - Number(a[1]) || Number(b[3] ?? 0) - Number(a[3] ?? 0)
}
