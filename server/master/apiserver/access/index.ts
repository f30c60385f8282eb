export {
  type AccessView,
  type Attributes,
  type Authorizer,
  anyOf,
  type Decision,
  type Verb,
} from './attributes.ts'
export {
  type Authenticate,
  type Credentials,
  type Identity,
  MASTERS_GROUP,
  NODES_GROUP,
  nodeNameOf,
} from './identity.ts'
export { nodeRules, restrictNode } from './nodes.ts'
export { requireAccess } from './require-access.ts'
export { COMPONENT_GROUPS, groupRules } from './rules.ts'
