/** Tokens that a cluster's own objects stand behind. */
export { bootstrapIdentity, bootstrapSecretKey, isBootstrapToken } from './bootstrap-tokens.ts'
export type { BoundKind, BoundObject } from './claims.ts'
export { issuerConfiguration, keySet } from './issuer-documents.ts'
export {
  API_AUDIENCE,
  ServiceAccountTokens,
  type ServiceAccountTokensOptions,
  type TokenOwner,
} from './service-account-tokens.ts'
export { SigningKeys } from './signing-keys.ts'
