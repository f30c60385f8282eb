/**
 * Registration: how a host that knows one token becomes a member of a cluster.
 *
 * The token carries the checksum of the server's certificate authority, so that the first request can already tell
 * the right server from one that took over its name.
 */
import { type Static, Type, validatorOf } from '../kit/index.ts'
import { protocolErrors } from './errors.ts'

/** The user name of HTTP Basic authentication whose password is a registration token. */
export const REGISTRATION_USER = 'registrationToken'

/** The parts of a registration token; its text form joins them by colons, in this order. */
export interface RegistrationTokenParts {
  /** Names the credential that signed it. */
  readonly publicValue: string
  /** Milliseconds since 1970 (UTC) after which it is refused. */
  readonly expires: number
  /** HMAC-SHA256 over `publicValue:expires:authorityChecksum` with the credential's secret, base64url. */
  readonly signature: string
  /** SHA-256 of the server's certificate authority (DER), lower-case hex. */
  readonly authorityChecksum: string
}

export function formatRegistrationToken(parts: RegistrationTokenParts): string {
  return [parts.publicValue, parts.expires, parts.signature, parts.authorityChecksum].join(':')
}

/** @throws `InvalidToken` when `text` does not have the form of a token */
export function parseRegistrationToken(text: string): RegistrationTokenParts {
  const match = /^([A-Z0-9]{20}):(\d{1,15}):([A-Za-z0-9_-]{43}):([0-9a-f]{64})$/.exec(text)
  if (match === null) {
    throw protocolErrors.InvalidToken({
      object: 'registration token',
      message: 'does not have the form of a registration token',
    })
  }
  const [, publicValue = '', expires = '', signature = '', authorityChecksum = ''] = match
  return { publicValue, expires: Number(expires), signature, authorityChecksum }
}

const registrationRequestSchema = Type.Object(
  {
    /** Random; kept by the host for ever. The same key is the same host. */
    key: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    hostname: Type.String({ minLength: 1, maxLength: 253 }),
  },
  { additionalProperties: false },
)

/** Body of `POST /v3/register`. */
export type RegistrationRequest = Static<typeof registrationRequestSchema>
export const registrationRequest = validatorOf(registrationRequestSchema)

const registrationAnswerSchema = Type.Object({
  hostId: Type.String(),
  hostUuid: Type.String(),
  clusterId: Type.String(),
  /** The name of the host's Kubernetes node. */
  nodeName: Type.String(),
  accessKey: Type.String(),
  secretKey: Type.String(),
})

/** Answer to `POST /v3/register`. */
export type RegistrationAnswer = Static<typeof registrationAnswerSchema>
export const registrationAnswer = validatorOf(registrationAnswerSchema)

const connectionSchema = Type.Object({
  /** Where the server speaks TLS. */
  tlsUrl: Type.String(),
  /** The server's certificate authority, PEM. Believed only when its checksum is the token's. */
  authority: Type.String(),
})

/** Answer to `GET /v3/connection`, the one request made before the server is trusted. */
export type Connection = Static<typeof connectionSchema>
export const connection = validatorOf(connectionSchema)
