/** `admissionregistration.k8s.io/v1` webhook configurations, as far as the server reads them. */
import type { KubernetesObject, LabelSelector } from '../objects.ts'

/** Where a webhook is: exactly one of `url` and `service`. */
export interface WebhookClientConfig {
  url?: string
  service?: { namespace: string; name: string; path?: string; port?: number }
  /** PEM, in base64. */
  caBundle?: string
}

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
