/** The question before every request: may they? */
import { forbidden, StatusError } from '../status.ts'
import type { AccessView, Attributes, Authorizer } from './attributes.ts'

function refusal(attributes: Attributes, reason: string | undefined): StatusError {
  const { identity, verb, group, resource, subresource, namespace, name, path } = attributes
  if (path !== undefined) {
    const refused = `User "${identity.user}" cannot ${verb} path "${path}"`
    return new StatusError('Forbidden', `forbidden: ${refused}`)
  }
  const what = subresource === '' ? resource : `${resource}/${subresource}`
  const where = namespace === '' ? 'at the cluster scope' : `in the namespace "${namespace}"`
  const why = `User "${identity.user}" cannot ${verb} resource "${what}" in API group "${group}" ${where}`
  return forbidden({ group, resource: what }, name, reason === undefined ? why : `${why}: ${reason}`)
}

/** @throws `Forbidden` */
export async function requireAccess(
  authorizer: Authorizer,
  attributes: Attributes,
  view: AccessView,
): Promise<void> {
  const decision = await authorizer.authorize(attributes, view)
  if (!decision.allowed) throw refusal(attributes, decision.reason)
}
