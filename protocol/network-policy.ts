/** Network policies in the form that the 2017 system had: rules of a network, read in order, the first match counts. */
import { type Static, Type, validatorOf } from '../kit/index.ts'

const selector = Type.String({ minLength: 1, maxLength: 1024 })

const networkPolicyRuleSchema = Type.Object(
  {
    /** Containers of the same stack or service, or of services that are linked. */
    within: Type.Optional(
      Type.Union([Type.Literal('stack'), Type.Literal('service'), Type.Literal('linked')]),
    ),
    /** Containers that match a selector, or that have the same value of a label. */
    between: Type.Optional(
      Type.Object(
        { selector: Type.Optional(selector), groupBy: Type.Optional(Type.String({ maxLength: 256 })) },
        { additionalProperties: false },
      ),
    ),
    from: Type.Optional(Type.Object({ selector }, { additionalProperties: false })),
    to: Type.Optional(Type.Object({ selector }, { additionalProperties: false })),
    /** `80`, `80/tcp`, `53/udp`; every port when absent. */
    ports: Type.Optional(
      Type.Array(Type.String({ pattern: '^\\d{1,5}(/(tcp|udp))?$' }), { minItems: 1, maxItems: 64 }),
    ),
    action: Type.Union([Type.Literal('allow'), Type.Literal('deny')]),
  },
  { additionalProperties: false },
)

export type NetworkPolicyRule = Static<typeof networkPolicyRuleSchema>

export const networkPolicy = validatorOf(Type.Array(networkPolicyRuleSchema, { maxItems: 256 }))
