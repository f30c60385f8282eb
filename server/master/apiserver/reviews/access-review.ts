/** Questions about rights, and their answers (`authorization.k8s.io`). */
import type { AccessView, Attributes, Authorizer, Identity } from '../access/index.ts'
import { MASTERS_GROUP, rulesFor } from '../access/index.ts'
import { forbiddenField, invalid, invalidObject, required } from '../problems.ts'

interface ResourceAttributes {
  readonly namespace?: string
  readonly verb?: string
  readonly group?: string
  readonly resource?: string
  readonly subresource?: string
  readonly name?: string
}

export interface AccessReviewSpec {
  readonly resourceAttributes?: ResourceAttributes
  readonly nonResourceAttributes?: { readonly path?: string; readonly verb?: string }
  readonly user?: string
  readonly uid?: string
  readonly groups?: readonly string[]
}

export interface AccessReviewStatus {
  readonly allowed: boolean
  readonly reason?: string
}

export interface ReviewKind {
  readonly group: string
  readonly kind: string
}

/** @throws `Invalid` */
export function reviewedIdentity(
  kind: ReviewKind,
  { user = '', uid, groups = [] }: AccessReviewSpec,
): Identity {
  if (user === '' && groups.length === 0) {
    throw invalidObject(kind, '', [
      invalid('spec.user', '', 'at least one of user or group must be specified'),
    ])
  }
  return { user, ...(uid === undefined ? {} : { uid }), groups }
}

/**
 * Answers whether somebody may do something.
 *
 * @param namespace the only one that may be asked about; undefined for any
 * @throws `Invalid`
 */
export async function reviewAccess(
  kind: ReviewKind,
  spec: AccessReviewSpec,
  identity: Identity,
  namespace: string | undefined,
  { authorizer, view }: { readonly authorizer: Authorizer; readonly view: AccessView },
): Promise<AccessReviewStatus> {
  const { resourceAttributes: about, nonResourceAttributes: outside } = spec
  if (about === undefined && outside === undefined) {
    throw invalidObject(kind, '', [
      required(
        'spec.resourceAttributes',
        'exactly one of nonResourceAttributes or resourceAttributes must be specified',
      ),
    ])
  }
  if (about !== undefined && outside !== undefined) {
    throw invalidObject(kind, '', [
      forbiddenField(
        'spec.nonResourceAttributes',
        'cannot be specified in combination with resourceAttributes',
      ),
    ])
  }
  if (namespace !== undefined && (about?.namespace ?? '') !== namespace) {
    throw invalidObject(kind, '', [
      invalid('spec.resourceAttributes.namespace', about?.namespace ?? '', 'must match metadata.namespace'),
    ])
  }
  const attributes: Attributes = {
    identity,
    verb: about?.verb ?? outside?.verb ?? '',
    group: about?.group ?? '',
    resource: about?.resource ?? '',
    subresource: about?.subresource ?? '',
    namespace: about?.namespace ?? '',
    name: about?.name ?? '',
    ...(outside === undefined ? {} : { path: outside.path ?? '' }),
    requiredField: () => undefined,
  }
  const decision = await authorizer.authorize(attributes, view)
  if (decision.allowed) return { allowed: true }
  return { allowed: false, ...(decision.reason === undefined ? {} : { reason: decision.reason }) }
}

/** Everything that somebody may do in a namespace, as far as roles say it. */
export function reviewRules(identity: Identity, namespace: string, view: AccessView) {
  const all = identity.groups.includes(MASTERS_GROUP)
    ? [
        { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
        { verbs: ['*'], nonResourceURLs: ['*'] },
      ]
    : [...rulesFor(view, identity, namespace)]
  return {
    resourceRules: all
      .filter(rule => (rule as { resources?: unknown }).resources !== undefined)
      .map(rule => ({ ...rule })),
    nonResourceRules: all
      .filter(rule => (rule as { nonResourceURLs?: unknown }).nonResourceURLs !== undefined)
      .map(rule => ({ ...rule })),
    incomplete: false,
  }
}
