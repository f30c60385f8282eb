/** Acting as somebody else (Kubernetes "User impersonation"): by headers, for who may. */
import { badRequest } from '../status.ts'
import type { AccessView, Attributes, Authorizer } from './attributes.ts'
import { AUTHENTICATED_GROUP, type Identity, serviceAccountGroups, serviceAccountOf } from './identity.ts'
import { requireAccess } from './require-access.ts'

const PREFIX = 'impersonate-'
const EXTRA_PREFIX = `${PREFIX}extra-`
const ANONYMOUS = 'system:anonymous'
const UNAUTHENTICATED_GROUP = 'system:unauthenticated'
/** Groups and extras of one request. */
const MOST_VALUES = 64

function values(headers: NodeJS.Dict<string[]>, name: string): readonly string[] {
  return headers[name] ?? []
}

/** @throws `BadRequest` */
function extraName(encoded: string): string {
  try {
    return decodeURIComponent(encoded)
  } catch (cause) {
    throw badRequest(`header ${EXTRA_PREFIX}${encoded.slice(0, 80)} is not valid percent-encoding`, cause)
  }
}

/**
 * Who a request is to be carried out as.
 *
 * @param headers each header's values apart, names in lower case
 * @throws `Forbidden` when the real one may not act as them, `BadRequest` for headers that contradict each other
 */
export async function impersonate(
  identity: Identity,
  headers: NodeJS.Dict<string[]>,
  authorizer: Authorizer,
  view: AccessView,
): Promise<Identity> {
  const names = Object.keys(headers).filter(name => name.startsWith(PREFIX))
  if (names.length === 0) return identity
  const [user] = values(headers, 'impersonate-user')
  const groups = values(headers, 'impersonate-group')
  const [uid] = values(headers, 'impersonate-uid')
  if (user === undefined || user === '') {
    throw badRequest('requested groups, uid or extra without impersonating a user')
  }
  if (groups.length > MOST_VALUES) throw badRequest(`at most ${MOST_VALUES} groups can be impersonated`)
  const may = async (group: string, resource: string, name: string, more: Partial<Attributes> = {}) =>
    await requireAccess(
      authorizer,
      {
        identity,
        verb: 'impersonate',
        group,
        resource,
        subresource: '',
        namespace: '',
        name,
        requiredField: () => undefined,
        ...more,
      },
      view,
    )
  const account = serviceAccountOf(user)
  if (account === undefined) await may('', 'users', user)
  else await may('', 'serviceaccounts', account.name, { namespace: account.namespace })
  for (const group of groups) await may('', 'groups', group)
  if (uid !== undefined) await may('authentication.k8s.io', 'uids', uid)
  const extra: Record<string, readonly string[]> = {}
  for (const name of names.filter(each => each.startsWith(EXTRA_PREFIX))) {
    // Extras are named like paths; header names cannot hold a slash.
    const subresource = extraName(name.slice(EXTRA_PREFIX.length))
    extra[subresource] = values(headers, name)
    for (const value of values(headers, name)) {
      await may('authentication.k8s.io', 'userextras', value, { subresource })
    }
  }
  const own = groups.length > 0 || account === undefined ? groups : serviceAccountGroups(account)
  const general = user === ANONYMOUS ? UNAUTHENTICATED_GROUP : AUTHENTICATED_GROUP
  return {
    user,
    ...(uid === undefined ? {} : { uid }),
    groups: own.includes(general) ? own : [...own, general],
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  }
}
