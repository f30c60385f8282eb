/** Which webhooks a write concerns, by their rules. */
import type { Resource } from '../catalog/index.ts'
import type { Frozen } from '../json.ts'
import type { WebhookRule } from './configuration.ts'

export type Operation = 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT'

/** What rules look at. */
export interface MatchedRequest {
  readonly operation: Operation
  readonly group: string
  readonly version: string
  readonly resource: string
  /** Empty for the object itself. */
  readonly subresource: string
  /** Empty outside of namespaces; of a namespace itself, its name. */
  readonly namespace: string
}

const ANY = '*'

function includes(list: readonly string[] | undefined, value: string): boolean {
  return list !== undefined && (list.includes(ANY) || list.includes(value))
}

/** `pods` means no subresources, `pods/*` the object too. */
function matchesResource(
  { resources = [] }: Frozen<WebhookRule>,
  { resource, subresource }: MatchedRequest,
): boolean {
  return resources.some(text => {
    const [name = '', part = ''] = text.split('/')
    return (name === ANY || name === resource) && (part === ANY || part === subresource)
  })
}

function matchesScope({ scope = ANY }: Frozen<WebhookRule>, request: MatchedRequest): boolean {
  // Namespaces are outside of namespaces, although requests about them name one.
  const isCluster = request.namespace === '' || (request.group === '' && request.resource === 'namespaces')
  return scope === ANY || (scope === 'Cluster') === isCluster
}

/** Whether one of a webhook's rules means a request. */
export function matchesRules(
  rules: readonly Frozen<WebhookRule>[] | undefined,
  request: MatchedRequest,
): boolean {
  return (rules ?? []).some(
    rule =>
      includes(rule.operations, request.operation) &&
      includes(rule.apiGroups, request.group) &&
      includes(rule.apiVersions, request.version) &&
      matchesResource(rule, request) &&
      matchesScope(rule, request),
  )
}

/** What no webhook may refuse or change: a wrong one could never be removed. */
const EXEMPT: ReadonlySet<string> = new Set([
  'mutatingadmissionpolicies',
  'mutatingadmissionpolicybindings',
  'mutatingwebhookconfigurations',
  'validatingadmissionpolicies',
  'validatingadmissionpolicybindings',
  'validatingwebhookconfigurations',
])

export function isExempt({ group, resource }: Pick<Resource, 'group' | 'resource'>): boolean {
  return group === 'admissionregistration.k8s.io' && EXEMPT.has(resource)
}

/** The parts of a webhook that say which requests it means. */
export interface RuleOwner {
  readonly rules?: readonly Frozen<WebhookRule>[]
  readonly matchPolicy?: string
}

/**
 * In which of the forms of its resource a webhook wants to see a request; undefined when it is none of its business.
 *
 * @param forms the requested resource first, then others that show the same objects
 */
export function chosenForm(
  { rules, matchPolicy }: RuleOwner,
  request: MatchedRequest,
  forms: readonly Resource[],
): Resource | undefined {
  const candidates = matchPolicy === 'Exact' ? forms.slice(0, 1) : forms
  return candidates.find(({ group, version, resource }) =>
    matchesRules(rules, { ...request, group, version, resource }),
  )
}
