export {
  type AccessView,
  type Attributes,
  type Authorizer,
  anyOf,
  type Decision,
  type Verb,
} from './attributes.ts'
export { preventEscalation } from './escalation.ts'
export {
  AUTHENTICATED_GROUP,
  type Authenticate,
  type Credentials,
  type Identity,
  MASTERS_GROUP,
  NODES_GROUP,
  nodeNameOf,
  type ServiceAccountName,
  serviceAccountGroups,
  serviceAccountOf,
  serviceAccountUser,
  TOKEN_PROTOCOL,
} from './identity.ts'
export { impersonate } from './impersonation.ts'
export { restrictNode } from './node-writes.ts'
export { nodeRules } from './nodes.ts'
export { RBAC_KINDS, rbacRules, rulesFor } from './rbac.ts'
export { requireAccess } from './require-access.ts'
export { COMPONENT_GROUPS, groupRules } from './rules.ts'
export { requireSigner } from './signers.ts'
