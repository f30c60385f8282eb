export type { AdmissionCall, ObjectForms } from './admission-call.ts'
export type { AdmissionAttributes } from './admission-review.ts'
export { AdmissionWebhooks, type AdmissionWebhooksOptions } from './admission-webhooks.ts'
export { MUTATING_KIND, VALIDATING_KIND, type WebhookClientConfig } from './configuration.ts'
export {
  clientConfigProblems,
  reviewVersionProblems,
  webhookConfigurationStrategy,
} from './configuration-strategy.ts'
export type { Operation } from './matching.ts'
export { postReview } from './transport.ts'
