/** Discovery documents to the resources of the table. */
import type { TableGroupVersion, TableResource, TableSubresource } from '../schema/index.ts'
import { AGGREGATED_FILES, documentsOf } from './aggregated.ts'
import { asList, asRecord, asString, asStrings } from './document.ts'

const GENERALLY_AVAILABLE = /^v\d+$/

interface LegacyResource {
  readonly name: string
  readonly kind: string
  readonly value: Record<string, unknown>
}

function readLegacy(document: unknown, object: string): LegacyResource[] {
  return asList(asRecord(document, object).resources, object).map(item => {
    const value = asRecord(item, object)
    return { name: asString(value.name, object), kind: asString(value.kind, object), value }
  })
}

function subresourcesOf(name: string, resources: readonly LegacyResource[], own: string): TableSubresource[] {
  return resources
    .filter(resource => resource.name.startsWith(`${name}/`))
    .map(({ name: full, kind, value }) => {
      const [group, version] = own.split('/')
      const named = value.version !== undefined
      return {
        name: full.slice(name.length + 1),
        kind: `${named ? asString(value.group ?? '', full) : group}/${named ? asString(value.version, full) : version}/${kind}`,
        verbs: asStrings(value.verbs, full).sort(),
      }
    })
}

function convertResource(
  resource: LegacyResource,
  all: readonly LegacyResource[],
  groupVersion: string,
): TableResource {
  const { name, kind, value } = resource
  const shortNames = asStrings(value.shortNames, name)
  const categories = asStrings(value.categories, name)
  const subresources = subresourcesOf(name, all, groupVersion)
  return {
    name,
    singular: asString(value.singularName, name),
    kind,
    namespaced: value.namespaced === true,
    verbs: asStrings(value.verbs, name).sort(),
    ...(shortNames.length === 0 ? {} : { shortNames }),
    ...(categories.length === 0 ? {} : { categories }),
    ...(subresources.length === 0 ? {} : { subresources }),
  }
}

/** Group and version of `apis__GROUP__VERSION.json`. */
function groupVersionOf(file: string): { group: string; version: string } | undefined {
  const match = /^(?:api__(?<core>[^_]+)|apis__(?<group>[^_]+)__(?<version>[^_]+))\.json$/.exec(file)?.groups
  if (match === undefined) return undefined
  return match.core === undefined
    ? { group: match.group ?? '', version: match.version ?? '' }
    : { group: '', version: match.core }
}

/** Order of preference of groups and of the versions inside them, as aggregated discovery lists them. */
function preferenceOrder(aggregated: unknown): string[] {
  const items = asList(asRecord(aggregated, 'aggregated_v2.json').items, 'aggregated_v2.json')
  return items.flatMap(item => {
    const group = asRecord(item, 'group')
    const name = asString(asRecord(group.metadata, 'group').name, 'group')
    return asList(group.versions, name).map(
      version => `${name}/${asString(asRecord(version, name).version, name)}`,
    )
  })
}

/** Every generally available group version, the core group first, then in order of preference. */
export function convertGroupVersions(discovery: ReadonlyMap<string, unknown>): TableGroupVersion[] {
  const running = discovery.has(AGGREGATED_FILES[1])
  const aggregated = discovery.get(running ? AGGREGATED_FILES[1] : 'aggregated_v2.json')
  const order = ['/v1', ...preferenceOrder(aggregated)]
  const found = [...(running ? documentsOf(discovery) : discovery)].flatMap(([file, document]) => {
    const name = groupVersionOf(file)
    if (name === undefined || !GENERALLY_AVAILABLE.test(name.version)) return []
    const legacy = readLegacy(document, file)
    const resources = legacy
      .filter(resource => !resource.name.includes('/'))
      .map(resource => convertResource(resource, legacy, `${name.group}/${name.version}`))
    return [{ ...name, resources }]
  })
  const rank = ({ group, version }: TableGroupVersion) => order.indexOf(`${group}/${version}`)
  return found.toSorted((a, b) => rank(a) - rank(b))
}
