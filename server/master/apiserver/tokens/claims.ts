/** What a token of a service account says (Kubernetes, "Managing Service Accounts", schema of private claims). */
import { type Static, Type, validatorOf } from '../../../../kit/index.ts'

const Name = Type.String({ minLength: 1, maxLength: 253 })
const Bound = Type.Object({ name: Name, uid: Type.String({ maxLength: 128 }) })

const ClaimsSchema = Type.Object({
  sub: Type.String({ maxLength: 512 }),
  aud: Type.Array(Type.String({ maxLength: 1024 }), { minItems: 1, maxItems: 64 }),
  exp: Type.Optional(Type.Integer()),
  iat: Type.Integer(),
  jti: Type.Optional(Type.String({ maxLength: 128 })),
  'kubernetes.io': Type.Object({
    namespace: Name,
    serviceaccount: Bound,
    pod: Type.Optional(Bound),
    secret: Type.Optional(Bound),
    node: Type.Optional(Bound),
  }),
})

export type Claims = Static<typeof ClaimsSchema>
/** What a token may be bound to: it ends with it. */
export type BoundKind = 'pod' | 'secret' | 'node'
/** An object, as claims name it. */
export type BoundObject = Static<typeof Bound>

export const claims = validatorOf(ClaimsSchema)
