/** Kinds that are questions: created, answered, never kept. */
import type { AccessView, Authorizer, Identity } from '../access/index.ts'
import type { GroupVersionKind } from '../catalog/index.ts'
import type { JsonObject } from '../json.ts'
import { pathNotFound } from '../status.ts'
import type { TokenOwner } from '../tokens/index.ts'
import { type AccessReviewSpec, reviewAccess, reviewedIdentity, reviewRules } from './access-review.ts'

/** Who a token belongs to in this cluster, if it was made for one of the audiences. */
export type Identify = (token: string, audiences?: readonly string[]) => Promise<TokenOwner | undefined>

export interface ReviewContext {
  readonly identity: Identity
  readonly authorizer: Authorizer
  readonly view: AccessView
  /** Of the path; empty outside of namespaces. */
  readonly namespace: string
  readonly identify: Identify
}

function userInfo({ user, uid, groups, extra }: Identity) {
  return {
    username: user,
    ...(uid === undefined ? {} : { uid }),
    groups: [...groups],
    ...(extra === undefined ? {} : { extra }),
  }
}

async function statusOf(kind: GroupVersionKind, spec: unknown, context: ReviewContext): Promise<unknown> {
  const { identity, view, namespace } = context
  switch (kind.kind) {
    case 'SelfSubjectAccessReview':
      return await reviewAccess(kind, spec as AccessReviewSpec, identity, undefined, context)
    case 'SubjectAccessReview':
    case 'LocalSubjectAccessReview': {
      const asked = spec as AccessReviewSpec
      const where = kind.kind === 'SubjectAccessReview' ? undefined : namespace
      return await reviewAccess(kind, asked, reviewedIdentity(kind, asked), where, context)
    }
    case 'SelfSubjectRulesReview':
      return reviewRules(identity, (spec as { namespace?: string }).namespace ?? '', view)
    case 'SelfSubjectReview':
      return { userInfo: userInfo(identity) }
    case 'TokenReview': {
      const { token = '', audiences = [] } = spec as { token?: string; audiences?: readonly string[] }
      const owner = await context.identify(token, audiences.length === 0 ? undefined : audiences)
      if (owner === undefined) return { authenticated: false, error: "the token is nobody's in this cluster" }
      const { identity: user, audiences: common } = owner
      return {
        authenticated: true,
        user: userInfo(user),
        ...(audiences.length === 0 ? {} : { audiences: common }),
      }
    }
    default:
      throw pathNotFound()
  }
}

/** Answers a question: what was sent, with its status. @throws `Invalid` */
export async function answerReview(
  kind: GroupVersionKind,
  body: JsonObject,
  context: ReviewContext,
): Promise<JsonObject> {
  const status = (await statusOf(kind, body.spec ?? {}, context)) as JsonObject
  const spec = kind.kind === 'TokenReview' ? { spec: {} } : body.spec === undefined ? {} : { spec: body.spec }
  const metadata = (body.metadata ?? {}) as JsonObject
  return {
    kind: kind.kind,
    apiVersion: `${kind.group}/${kind.version}`,
    metadata,
    ...(kind.kind === 'SelfSubjectReview' ? {} : spec),
    status,
  } as JsonObject
}
