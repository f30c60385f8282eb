/**
 * What hosts say to each other when no server is there: verdicts of health checks, over TLS with certificates of both sides.
 *
 * A certificate is issued by an authority of the cluster that signs nothing but hosts; its common name is the host's uuid.
 */
import { Type, validatorOf } from '../kit/index.ts'
import { HEALTH_REPORT_LIMIT, healthVerdictSchema } from './health.ts'

/** Where hosts listen for each other. */
export const HOST_EXCHANGE_PORT = 9349

/** The path that verdicts are sent to. */
export const VERDICTS_PATH = '/v1/verdicts'

/** Largest message, in bytes. */
export const HOST_EXCHANGE_LIMIT = 1024 * 1024

/** What a host sees: verdicts of its own. */
export const hostVerdicts = validatorOf(
  Type.Object({ verdicts: Type.Array(healthVerdictSchema, { maxItems: HEALTH_REPORT_LIMIT }) }),
)

/** A host's certificate and its key, and the authority that signs those of the others; PEM. */
export const hostCredentials = validatorOf(
  Type.Object({
    authority: Type.String({ maxLength: 16_384 }),
    certificate: Type.String({ maxLength: 16_384 }),
    privateKey: Type.String({ maxLength: 16_384 }),
  }),
)

export type HostCredentials = ReturnType<typeof hostCredentials.parse>
