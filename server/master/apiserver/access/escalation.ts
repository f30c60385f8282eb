/** Nobody gives away rights that they do not have (Kubernetes "Privilege escalation prevention"). */
import { equalJson, type Frozen, type JsonValue } from '../json.ts'
import type { KubernetesObject, Role, RoleBinding } from '../objects.ts'
import { forbidden } from '../status.ts'
import type { AccessView } from './attributes.ts'
import { type Identity, MASTERS_GROUP } from './identity.ts'
import { type Rule, ruleAllows, rulesFor, rulesOfRole, uncovered } from './rbac.ts'
import { COMPONENT_GROUPS } from './rules.ts'

const GROUP = 'rbac.authorization.k8s.io'
const UNBOUND: ReadonlySet<string> = new Set([
  MASTERS_GROUP,
  COMPONENT_GROUPS.bootstrap,
  // It only puts together what others were allowed to write.
  COMPONENT_GROUPS.roleAggregator,
])

export interface RoleWrite {
  readonly resource: { readonly group: string; readonly resource: string }
  readonly current: Frozen<KubernetesObject> | undefined
  /** Undefined for a deletion. */
  readonly next: Frozen<KubernetesObject> | undefined
}

function same(one: unknown, other: unknown): boolean {
  return equalJson(one as JsonValue | undefined, other as JsonValue | undefined)
}

/** Whether somebody may do `verb` with roles of this name, whatever the roles say. */
function mayAnyway(owned: readonly Rule[], verb: string, resource: string, name: string): boolean {
  return owned.some(rule => ruleAllows(rule, { verb, group: GROUP, resource, subresource: '', name }))
}

/**
 * Looks at a role or binding that is about to be written.
 *
 * @throws `Forbidden` naming a right that the writer would give and does not have
 */
export function preventEscalation(
  identity: Identity,
  view: AccessView,
  { resource, current, next }: RoleWrite,
): void {
  if (resource.group !== GROUP || next === undefined) return
  if (identity.groups.some(group => UNBOUND.has(group))) return
  const namespace = next.metadata.namespace ?? ''
  const owned = [...rulesFor(view, identity, namespace)]
  const { name } = next.metadata
  const refuse = (missing: string) =>
    forbidden(
      resource,
      name,
      `user "${identity.user}" (groups=${JSON.stringify(identity.groups)}) is attempting to grant RBAC permissions not currently held:\n${missing}`,
    )
  if (resource.resource.endsWith('bindings')) {
    const { roleRef, subjects } = next as Frozen<RoleBinding>
    if (current !== undefined && same(subjects, (current as Frozen<RoleBinding>).subjects)) return
    const roles = roleRef.kind === 'ClusterRole' ? 'clusterroles' : 'roles'
    if (mayAnyway(owned, 'bind', roles, roleRef.name)) return
    const missing = uncovered(owned, rulesOfRole(view, roleRef, namespace))
    if (missing !== undefined) throw refuse(missing)
    return
  }
  const { rules, aggregationRule } = next as Frozen<Role>
  const old = current as Frozen<Role> | undefined
  if (old !== undefined && same(rules, old.rules) && same(aggregationRule, old.aggregationRule)) return
  if (mayAnyway(owned, 'escalate', resource.resource, name)) return
  const everything: Rule = { apiGroups: ['*'], resources: ['*'], verbs: ['*'] }
  // What such a role will gather is not known beforehand.
  const wanted = same(aggregationRule, old?.aggregationRule) ? (rules ?? []) : [...(rules ?? []), everything]
  const missing = uncovered(owned, wanted)
  if (missing !== undefined) throw refuse(missing)
}
