/** `admissionregistration.k8s.io/v1` webhook configurations, as far as the server reads them. */
import type { KubernetesObject, LabelSelector } from '../objects.ts'
import type { WebhookClientConfig } from '../webhook-client/index.ts'

export interface WebhookRule {
  operations?: string[]
  apiGroups?: string[]
  apiVersions?: string[]
  resources?: string[]
  scope?: string
}

export interface MatchCondition {
  name: string
  expression: string
}

export interface Webhook {
  name: string
  clientConfig: WebhookClientConfig
  rules?: WebhookRule[]
  failurePolicy?: string
  matchPolicy?: string
  namespaceSelector?: LabelSelector
  objectSelector?: LabelSelector
  sideEffects?: string
  timeoutSeconds?: number
  admissionReviewVersions?: string[]
  matchConditions?: MatchCondition[]
  /** Of mutating ones only. */
  reinvocationPolicy?: string
}

export interface WebhookConfiguration extends KubernetesObject {
  webhooks?: Webhook[]
}

/** `kind` of the keys of configurations in the store. */
export const MUTATING_KIND = 'admissionregistration.k8s.io/mutatingwebhookconfigurations'
export const VALIDATING_KIND = 'admissionregistration.k8s.io/validatingwebhookconfigurations'
