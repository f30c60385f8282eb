export {
  clientConfigProblems,
  reviewVersionProblems,
  type WebhookClientConfig,
} from './client-config.ts'
export { postReview } from './transport.ts'
