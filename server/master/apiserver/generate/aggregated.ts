/** Aggregated discovery (`apidiscovery.k8s.io/v2`) to the documents per group version that older clients read. */
import { asList, asRecord, asString, asStrings } from './document.ts'

/** As a running server answers to `/api` and `/apis`. */
export const AGGREGATED_FILES = ['aggregated-discovery-api.json', 'aggregated-discovery-apis.json'] as const

interface Place {
  readonly group: string
  readonly version: string
}

/** Kinds of the resource's own group version leave both out. */
function kindOf(value: unknown, object: string): Record<string, unknown> {
  const { group, version, kind } = asRecord(value, object)
  const own = (group ?? '') === '' && (version ?? '') === ''
  return { kind: asString(kind, object), ...(own ? {} : { group, version }) }
}

function readResource(item: unknown, { group, version }: Place): Record<string, unknown>[] {
  const value = asRecord(item, `${group}/${version}`)
  const name = asString(value.resource, `${group}/${version}`)
  const namespaced = value.scope === 'Namespaced'
  const own = {
    name,
    singularName: value.singularResource,
    namespaced,
    ...kindOf(value.responseKind, name),
    verbs: asStrings(value.verbs, name),
    shortNames: asStrings(value.shortNames, name),
    categories: asStrings(value.categories, name),
  }
  const subresources = value.subresources === undefined ? [] : asList(value.subresources, name)
  return [
    own,
    ...subresources.map(entry => {
      const subresource = asRecord(entry, name)
      return {
        name: `${name}/${asString(subresource.subresource, name)}`,
        namespaced,
        ...kindOf(subresource.responseKind, name),
        verbs: asStrings(subresource.verbs, name),
      }
    }),
  ]
}

/** The same facts as `api__v1.json`, `apis__GROUP__VERSION.json`, in order of preference. */
export function documentsOf(discovery: ReadonlyMap<string, unknown>): Map<string, unknown> {
  const documents = new Map<string, unknown>()
  for (const file of AGGREGATED_FILES) {
    for (const item of asList(asRecord(discovery.get(file), file).items, file)) {
      const { metadata, versions } = asRecord(item, file)
      // The core group has no name, and no metadata that would carry one.
      const group = asString(asRecord(metadata ?? {}, file).name ?? '', file)
      for (const entry of asList(versions, file)) {
        const { version, resources } = asRecord(entry, file)
        const place = { group, version: asString(version, file) }
        documents.set(group === '' ? `api__${place.version}.json` : `apis__${group}__${place.version}.json`, {
          resources: asList(resources, file).flatMap(resource => readResource(resource, place)),
        })
      }
    }
  }
  return documents
}
