/** Kinds that are questions: created, answered, never kept. */
import type { AccessView, Authorizer, Identity } from '../access/index.ts'
import type { GroupVersionKind } from '../catalog/index.ts'
import type { JsonObject } from '../json.ts'
import { pathNotFound } from '../status.ts'
import { type AccessReviewSpec, reviewAccess, reviewedIdentity, reviewRules } from './access-review.ts'

export interface ReviewContext {
  readonly identity: Identity
  readonly authorizer: Authorizer
  readonly view: AccessView
  /** Of the path; empty outside of namespaces. */
  readonly namespace: string
  /** Who a token belongs to in this cluster. */
  readonly identify: (token: string) => Promise<Identity | undefined>
}

function userInfo({ user, uid, groups }: Identity) {
  return { username: user, ...(uid === undefined ? {} : { uid }), groups: [...groups] }
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
      const { token = '' } = spec as { token?: string }
      const owner = await context.identify(token)
      return owner === undefined
        ? { authenticated: false, error: "the token is nobody's in this cluster" }
        : { authenticated: true, user: userInfo(owner) }
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
