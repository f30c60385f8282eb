/** What operations are called: as Kubernetes calls them, because generated clients name their functions after them. */

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)
const lower = (text: string) => text.charAt(0).toLowerCase() + text.slice(1)

/** `Core`, `Apps`, `RbacAuthorization`, `StableExampleCom` */
function groupName(group: string): string {
  if (group === '') return 'Core'
  const words = group.replace(/\.k8s\.io$/, '').split(/[^A-Za-z0-9]+/)
  return words.map(capital).join('')
}

/** `CoreV1` */
export function groupVersionName(group: string, version: string): string {
  return groupName(group) + capital(version)
}

/** Under which generated clients collect functions: `core_v1`, `rbacAuthorization_v1`; without a version, of a whole group. */
export function tagOf(group: string, version?: string): string {
  const name = lower(groupName(group))
  return version === undefined ? name : `${name}_${version}`
}

export interface NameParts {
  /** `list`, `read`, `connectGet`, … */
  readonly verb: string
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly namespaced: boolean
  /** In lower case; absent for the object itself. */
  readonly subresource?: string
  /** Of a namespaced kind, in all namespaces. */
  readonly everywhere?: boolean
}

/** `listCoreV1NamespacedPod`, `deleteCoreV1CollectionNode`, `watchCoreV1PodListForAllNamespaces` */
export function operationId(parts: NameParts): string {
  const { verb, group, version, kind, namespaced, subresource = '', everywhere = false } = parts
  const scope = namespaced && !everywhere ? 'Namespaced' : ''
  const ending = everywhere ? 'ForAllNamespaces' : ''
  const [, action = verb, rest = ''] = /^([a-z]+)([A-Z]\w*)?$/.exec(verb) ?? []
  const list = action === 'watch' && rest === 'List' ? 'List' : ''
  const middle = list === '' ? rest : ''
  return `${action}${groupVersionName(group, version)}${middle}${scope}${kind}${capital(subresource)}${list}${ending}`
}

export function apiGroupOperationId(group: string): string {
  return `get${groupName(group)}APIGroup`
}
