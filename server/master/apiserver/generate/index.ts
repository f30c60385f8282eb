/** Makes the table of kinds from OpenAPI and discovery documents. Pure: no files, no network. */
import { apiServerErrors } from '../errors.ts'
import { type KindTable, type TableGroupVersion, tableChecksum } from '../schema/index.ts'
import { collectDefaults, convertDefinitions } from './definitions.ts'
import { asRecord } from './document.ts'
import { convertGroupVersions } from './resources.ts'
import { WireForms } from './wire.ts'

/** Parsed documents. */
export interface GeneratorSources {
  /** The OpenAPI v2 document. */
  readonly swagger: unknown
  /** Legacy discovery documents by file name: `api__v1.json`, `apis__apps__v1.json`, …, and `aggregated_v2.json`. */
  readonly discovery: ReadonlyMap<string, unknown>
  /** The OpenAPI v3 documents: only they carry defaults. */
  readonly v3: readonly unknown[]
  /** Field numbers and types by message: `{"k8s.io.api.core.v1.Pod":{"metadata":[1,"…"]}}`. */
  readonly protobuf: unknown
}

/** Definitions that requests and answers use although no resource refers to them. */
const PROTOCOL_DEFINITIONS = [
  'DeleteOptions',
  'Status',
  'Patch',
  'WatchEvent',
  'APIResourceList',
  'APIGroupList',
  'APIGroup',
  'APIVersions',
].map(name => `apimachinery.pkg.apis.meta.v1.${name}`)

function kindNames(groupVersion: TableGroupVersion): string[] {
  const { group, version, resources } = groupVersion
  return resources.flatMap(resource => [
    `${group}/${version}/${resource.kind}`,
    `${group}/${version}/${resource.kind}List`,
    ...(resource.subresources ?? []).map(subresource => subresource.kind),
  ])
}

function reachable(definitions: KindTable['definitions'], roots: readonly string[]): Set<string> {
  const seen = new Set<string>()
  const pending = [...roots]
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const definition = definitions[name]
    if (definition === undefined || seen.has(name)) continue
    seen.add(name)
    for (const field of Object.values(definition.fields)) {
      const reference = /#(.*)$/.exec(typeof field === 'string' ? field : field.type)?.[1]
      if (reference !== undefined) pending.push(reference)
    }
  }
  return seen
}

/**
 * The table of `version` with every generally available group (`v1`, `v2`; no alpha, no beta).
 *
 * @throws `UnreadableSource` when a document has another form
 */
export function generateTable(version: string, sources: GeneratorSources): KindTable {
  const groupVersions = convertGroupVersions(sources.discovery)
  const all = convertDefinitions(
    asRecord(asRecord(sources.swagger, 'swagger').definitions, 'swagger definitions'),
    collectDefaults(sources.v3),
    new WireForms(sources.protobuf),
  )
  const wanted = new Set(groupVersions.flatMap(kindNames))
  const roots = Object.entries(all)
    .filter(([, definition]) => definition.kinds?.some(kind => wanted.has(kind)))
    .map(([name]) => name)
  if (roots.length === 0) throw apiServerErrors.UnreadableSource({ object: 'swagger definitions' })
  const kept = reachable(all, [...roots, ...PROTOCOL_DEFINITIONS])
  const definitions = Object.fromEntries(Object.entries(all).filter(([name]) => kept.has(name)))
  const content = { groupVersions, definitions }
  return { format: 1, version, checksum: tableChecksum(content), ...content }
}

/** The table as text, a definition or resource per line, so that a difference between versions can be read. */
export function renderTable(table: KindTable): string {
  const groupVersions = table.groupVersions.map(({ group, version, resources }) => {
    const lines = resources.map(resource => `   ${JSON.stringify(resource)}`)
    return `  {"group":${JSON.stringify(group)},"version":${JSON.stringify(version)},"resources":[\n${lines.join(',\n')}]}`
  })
  const definitions = Object.entries(table.definitions).map(
    ([name, definition]) => `  ${JSON.stringify(name)}:${JSON.stringify(definition)}`,
  )
  return `{"format":1,"version":${JSON.stringify(table.version)},"checksum":${JSON.stringify(table.checksum)},
 "groupVersions":[\n${groupVersions.join(',\n')}],
 "definitions":{\n${definitions.join(',\n')}}}\n`
}
