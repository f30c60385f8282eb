/** Roles and their bindings. */
import { equalJson, type JsonValue } from '../json.ts'
import type { FormCheck } from '../names.ts'
import type { PolicyRule, Role, RoleBinding, Subject } from '../objects.ts'
import { roleBindingPrinter, rolePrinter } from '../printing/index.ts'
import { type FieldProblem, forbiddenField, invalid, notSupported, required } from '../problems.ts'
import { defineStrategy } from './strategy.ts'

const RBAC_GROUP = 'rbac.authorization.k8s.io'

/** Names of roles are parts of paths, and otherwise free: `system:node`. */
export const checkPathSegment: FormCheck = text => {
  if (text === '.' || text === '..') return `may not be '${text}'`
  return /[/%]/.test(text) ? "may not contain '/' or '%'" : undefined
}

function validateRule(rule: PolicyRule, field: string, namespaced: boolean): FieldProblem[] {
  const problems: FieldProblem[] = []
  if (rule.verbs.length === 0)
    problems.push(required(`${field}.verbs`, 'verbs must contain at least one value'))
  if ((rule.nonResourceURLs ?? []).length > 0) {
    if (namespaced) {
      problems.push(
        invalid(
          `${field}.nonResourceURLs`,
          rule.nonResourceURLs,
          'namespaced rules cannot apply to non-resource URLs',
        ),
      )
    }
    if ([rule.apiGroups, rule.resources, rule.resourceNames].some(list => (list ?? []).length > 0)) {
      problems.push(
        invalid(
          `${field}.nonResourceURLs`,
          rule.nonResourceURLs,
          'rules cannot apply to both regular resources and non-resource URLs',
        ),
      )
    }
    return problems
  }
  if ((rule.apiGroups ?? []).length === 0) {
    problems.push(required(`${field}.apiGroups`, 'resource rules must supply at least one api group'))
  }
  if ((rule.resources ?? []).length === 0) {
    problems.push(required(`${field}.resources`, 'resource rules must supply at least one resource'))
  }
  return problems
}

function role(namespaced: boolean) {
  return defineStrategy<Role>({
    checkName: checkPathSegment,
    printer: rolePrinter,
    validate: ({ rules }) =>
      (rules ?? []).flatMap((rule, index) => validateRule(rule, `rules[${index}]`, namespaced)),
  })
}

export const roleStrategy = role(true)
export const clusterRoleStrategy = role(false)

function completeSubject(subject: Subject): void {
  if (subject.kind === 'User' || subject.kind === 'Group') subject.apiGroup ??= RBAC_GROUP
}

function validateSubject(subject: Subject, field: string, namespaced: boolean): FieldProblem[] {
  const problems: FieldProblem[] = []
  const { kind, name, namespace = '', apiGroup = '' } = subject
  if (name === '') problems.push(required(`${field}.name`))
  switch (kind) {
    case 'ServiceAccount':
      if (apiGroup !== '') problems.push(notSupported(`${field}.apiGroup`, apiGroup, ['']))
      if (namespace === '' && !namespaced) problems.push(required(`${field}.namespace`))
      break
    case 'User':
    case 'Group':
      if (apiGroup !== RBAC_GROUP) problems.push(notSupported(`${field}.apiGroup`, apiGroup, [RBAC_GROUP]))
      break
    default:
      problems.push(notSupported(`${field}.kind`, kind, ['Group', 'ServiceAccount', 'User']))
  }
  return problems
}

function binding(namespaced: boolean) {
  const kinds = namespaced ? ['ClusterRole', 'Role'] : ['ClusterRole']
  return defineStrategy<RoleBinding>({
    checkName: checkPathSegment,
    printer: roleBindingPrinter,
    complete(object) {
      for (const subject of object.subjects ?? []) {
        completeSubject(subject)
        if (namespaced && subject.kind === 'ServiceAccount') {
          const { namespace } = object.metadata
          if (subject.namespace === undefined && namespace !== undefined) subject.namespace = namespace
        }
      }
    },
    validate({ roleRef, subjects }) {
      const problems = (subjects ?? []).flatMap((subject, index) =>
        validateSubject(subject, `subjects[${index}]`, namespaced),
      )
      if (roleRef.apiGroup !== RBAC_GROUP) {
        problems.push(notSupported('roleRef.apiGroup', roleRef.apiGroup, [RBAC_GROUP]))
      }
      if (!kinds.includes(roleRef.kind)) problems.push(notSupported('roleRef.kind', roleRef.kind, kinds))
      if (roleRef.name === '') problems.push(required('roleRef.name'))
      return problems
    },
    validateUpdate: (next, old) =>
      equalJson(next.roleRef as unknown as JsonValue, old.roleRef as unknown as JsonValue)
        ? []
        : [forbiddenField('roleRef', 'cannot change roleRef')],
  })
}

export const roleBindingStrategy = binding(true)
export const clusterRoleBindingStrategy = binding(false)
