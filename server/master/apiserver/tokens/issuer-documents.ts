/** How others can check the tokens of a cluster (OpenID Connect Discovery 1.0, as Kubernetes publishes it). */
import type { SigningKey } from './signing-keys.ts'

/** `/.well-known/openid-configuration` */
export function issuerConfiguration(issuer: string): string {
  return JSON.stringify({
    issuer,
    jwks_uri: `${issuer}/openid/v1/jwks`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
  })
}

/** `/openid/v1/jwks` (RFC 7517) */
export function keySet({ published }: SigningKey): string {
  return JSON.stringify({ keys: [published] })
}
