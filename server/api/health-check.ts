/** Health checks in the form of the `/v3` API (`instanceHealthCheck`), and in ours. */
import { Type, validatorOf } from '../../kit/index.ts'
import { isRequestLine } from '../compose/index.ts'
import { type HealthCheck, healthCheckDefaults } from '../model/index.ts'
import { apiErrors } from './errors.ts'

/** Milliseconds; longer than a day is a mistake. */
const LONGEST = 86_400_000

const integer = (minimum: number, maximum: number) =>
  Type.Optional(Type.Union([Type.Integer({ minimum, maximum }), Type.Null()]))
const optional = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Optional(Type.Union([schema, Type.Null()]))

export const healthCheckSchema = Type.Object(
  {
    type: optional(Type.String({ maxLength: 64 })),
    name: optional(Type.String({ maxLength: 256 })),
    port: Type.Integer({ minimum: 1, maximum: 65_535 }),
    requestLine: optional(Type.String({ maxLength: 1024 })),
    interval: integer(100, LONGEST),
    responseTimeout: integer(10, LONGEST),
    healthyThreshold: integer(1, 1_000),
    unhealthyThreshold: integer(1, 1_000),
    initializingTimeout: integer(1, LONGEST),
    reinitializingTimeout: integer(1, LONGEST),
    strategy: optional(
      Type.Union([Type.Literal('recreate'), Type.Literal('none'), Type.Literal('recreateOnQuorum')]),
    ),
    recreateOnQuorumStrategyConfig: optional(
      Type.Object({ type: optional(Type.String({ maxLength: 64 })), quorum: integer(1, 10_000) }),
    ),
  },
  { additionalProperties: false },
)

const validator = validatorOf(healthCheckSchema)

/**
 * Reads what a client sent; what is absent or null is as it was in cattle.
 *
 * @throws `InvalidFormat`
 */
export function parseHealthCheck(value: unknown, field: string): HealthCheck {
  const input = validator.parse(value, field)
  const { requestLine, recreateOnQuorumStrategyConfig, port } = input
  const line = requestLine?.trim() ?? ''
  if (line !== '' && !isRequestLine(line)) {
    throw apiErrors.InvalidFormat({
      object: `${field}.requestLine`,
      field: `${field}.requestLine`,
      expected: 'one request, such as GET /ping HTTP/1.0',
    })
  }
  const quorum = recreateOnQuorumStrategyConfig?.quorum
  return {
    port,
    ...(line === '' ? {} : { requestLine: line }),
    interval: input.interval ?? healthCheckDefaults.interval,
    responseTimeout: input.responseTimeout ?? healthCheckDefaults.responseTimeout,
    healthyThreshold: input.healthyThreshold ?? healthCheckDefaults.healthyThreshold,
    unhealthyThreshold: input.unhealthyThreshold ?? healthCheckDefaults.unhealthyThreshold,
    initializingTimeout: input.initializingTimeout ?? healthCheckDefaults.initializingTimeout,
    reinitializingTimeout: input.reinitializingTimeout ?? healthCheckDefaults.reinitializingTimeout,
    strategy: input.strategy ?? healthCheckDefaults.strategy,
    ...(quorum === undefined || quorum === null ? {} : { quorum }),
  }
}

/** Shows a health check as clients know it. */
export function showHealthCheck(check: HealthCheck | undefined): Record<string, unknown> | null {
  if (check === undefined) return null
  const { quorum, requestLine, ...same } = check
  return {
    type: 'instanceHealthCheck',
    ...same,
    requestLine: requestLine ?? null,
    recreateOnQuorumStrategyConfig:
      quorum === undefined ? null : { type: 'recreateOnQuorumStrategyConfig', quorum },
  }
}
