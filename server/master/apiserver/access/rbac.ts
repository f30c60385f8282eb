/**
 * Rights by roles and their bindings (Kubernetes "Using RBAC Authorization").
 *
 * Roles that gather others (`aggregationRule`) are resolved when they are asked for: a new part of one counts at once.
 */
import type { Frozen } from '../json.ts'
import type { LabelSelector, PolicyRule, Role, RoleBinding, Subject } from '../objects.ts'
import { selectorMatches } from '../selection/index.ts'
import { type AccessView, ALLOWED, type Attributes, type Authorizer, NO_OPINION } from './attributes.ts'
import type { Identity } from './identity.ts'

const GROUP = 'rbac.authorization.k8s.io'
export const RBAC_KINDS = {
  clusterRoles: `${GROUP}/clusterroles`,
  clusterRoleBindings: `${GROUP}/clusterrolebindings`,
  roles: `${GROUP}/roles`,
  roleBindings: `${GROUP}/rolebindings`,
} as const

const SERVICE_ACCOUNT_PREFIX = 'system:serviceaccount:'

export type Rule = Frozen<PolicyRule>

/** Whether a list of a rule covers one value. */
function lists(list: readonly string[] | undefined, value: string): boolean {
  return list !== undefined && (list.includes('*') || list.includes(value))
}

/** A subresource is also covered by its name behind a star, which stands for any resource. */
function coversResource(list: readonly string[] | undefined, resource: string, subresource: string): boolean {
  const whole = subresource === '' ? resource : `${resource}/${subresource}`
  return lists(list, whole) || (subresource !== '' && list?.includes(`*/${subresource}`) === true)
}

/** What a rule is asked about an object or collection. */
export type ResourceQuestion = Pick<Attributes, 'verb' | 'group' | 'resource' | 'subresource' | 'name'>

export function ruleAllows(
  rule: Rule,
  { verb, group, resource, subresource, name }: ResourceQuestion,
): boolean {
  const { resourceNames = [] } = rule
  return (
    lists(rule.verbs, verb) &&
    lists(rule.apiGroups, group) &&
    coversResource(rule.resources, resource, subresource) &&
    (resourceNames.length === 0 || resourceNames.includes(name))
  )
}

/** Paths outside of the objects; a rule may end with a star. */
export function ruleAllowsPath(rule: Rule, verb: string, path: string): boolean {
  return (
    lists(rule.verbs, verb) &&
    (rule.nonResourceURLs ?? []).some(
      url => url === '*' || url === path || (url.endsWith('*') && path.startsWith(url.slice(0, -1))),
    )
  )
}

function isSubject(
  { kind, name, namespace }: Frozen<Subject>,
  identity: Identity,
  bindingNamespace: string,
): boolean {
  switch (kind) {
    case 'User':
      return name === identity.user
    case 'Group':
      return identity.groups.includes(name)
    default:
      return identity.user === `${SERVICE_ACCOUNT_PREFIX}${namespace ?? bindingNamespace}:${name}`
  }
}

/** Roles may gather roles that gather others; one that leads back to itself adds nothing. */
function rulesOf(view: AccessView, role: Frozen<Role>, seen: Set<string>): readonly Rule[] {
  const selectors: Frozen<LabelSelector[]> | undefined = role.aggregationRule?.clusterRoleSelectors
  const own = role.rules ?? []
  if (selectors === undefined) return own
  seen.add(role.metadata.name)
  const gathered = view.list(RBAC_KINDS.clusterRoles, undefined).flatMap(stored => {
    const part = view.read(stored) as Frozen<Role>
    const labels = part.metadata.labels ?? {}
    if (seen.has(part.metadata.name) || !selectors.some(selector => selectorMatches(selector, labels)))
      return []
    return rulesOf(view, part, seen)
  })
  return [...own, ...gathered]
}

/** The rules of the role that a binding refers to; none when it is not there. */
export function rulesOfRole(
  view: AccessView,
  { kind, name }: { readonly kind: string; readonly name: string },
  namespace: string,
): readonly Rule[] {
  const cluster = kind === 'ClusterRole'
  const stored = view.find(
    cluster ? RBAC_KINDS.clusterRoles : RBAC_KINDS.roles,
    cluster ? '' : namespace,
    name,
  )
  return stored === undefined ? [] : rulesOf(view, view.read(stored) as Frozen<Role>, new Set())
}

function* rulesOfBindings(
  view: AccessView,
  identity: Identity,
  kind: string,
  namespace: string | undefined,
): Generator<Rule> {
  for (const stored of view.list(kind, namespace)) {
    const { subjects, roleRef } = view.read(stored) as Frozen<RoleBinding>
    if (subjects?.some(subject => isSubject(subject, identity, namespace ?? '')) !== true) continue
    yield* rulesOfRole(view, roleRef, namespace ?? '')
  }
}

/** Every rule that holds for somebody in a namespace, or in the cluster's own scope when it is empty. */
export function* rulesFor(view: AccessView, identity: Identity, namespace: string): Generator<Rule> {
  yield* rulesOfBindings(view, identity, RBAC_KINDS.clusterRoleBindings, undefined)
  if (namespace !== '') yield* rulesOfBindings(view, identity, RBAC_KINDS.roleBindings, namespace)
}

/** Decides by the roles that are bound to somebody. */
export const rbacRules: Authorizer = {
  authorize(attributes, view) {
    for (const rule of rulesFor(view, attributes.identity, attributes.namespace)) {
      const allowed =
        attributes.path === undefined
          ? ruleAllows(rule, attributes)
          : ruleAllowsPath(rule, attributes.verb, attributes.path)
      if (allowed) return ALLOWED
    }
    return NO_OPINION
  },
}

/** A rule in pieces that can each be looked for alone. */
function* pieces(rule: Rule): Generator<ResourceQuestion & { readonly path?: string }> {
  for (const verb of rule.verbs) {
    const nothing = { verb, group: '', resource: '', subresource: '', name: '' }
    for (const path of rule.nonResourceURLs ?? []) yield { ...nothing, path }
    for (const group of rule.apiGroups ?? []) {
      for (const whole of rule.resources ?? []) {
        const [resource = '', subresource = ''] = whole.split('/')
        const names = rule.resourceNames ?? []
        for (const name of names.length === 0 ? [''] : names)
          yield { verb, group, resource, subresource, name }
      }
    }
  }
}

/** The first thing that `wanted` allows and `owned` do not; undefined when all of it is covered. */
export function uncovered(owned: readonly Rule[], wanted: readonly Rule[]): string | undefined {
  for (const rule of wanted) {
    for (const piece of pieces(rule)) {
      const { path } = piece
      const covered = owned.some(own =>
        path === undefined ? ruleAllows(own, piece) : ruleAllowsPath(own, piece.verb, path),
      )
      if (covered) continue
      if (path !== undefined) return `{NonResourceURLs:["${path}"], Verbs:["${piece.verb}"]}`
      const whole = piece.subresource === '' ? piece.resource : `${piece.resource}/${piece.subresource}`
      const name = piece.name === '' ? '' : `, ResourceNames:["${piece.name}"]`
      return `{APIGroups:["${piece.group}"], Resources:["${whole}"]${name}, Verbs:["${piece.verb}"]}`
    }
  }
  return undefined
}
