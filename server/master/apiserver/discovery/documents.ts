/**
 * Discovery: which groups, versions and resources there are (Kubernetes "The Kubernetes API", API discovery).
 *
 * The legacy documents, one per group version, and the aggregated ones (`apidiscovery.k8s.io/v2`).
 */
import {
  apiVersionOf,
  type Catalog,
  type GroupVersion,
  type Resource,
  type Subresource,
} from '../catalog/index.ts'

function legacySubresource(resource: Resource, { name, kind, verbs }: Subresource) {
  const foreign = kind.group !== resource.group || kind.version !== resource.version
  return {
    name: `${resource.resource}/${name}`,
    singularName: '',
    namespaced: resource.namespaced,
    ...(foreign ? { group: kind.group, version: kind.version } : {}),
    kind: kind.kind,
    verbs,
  }
}

function legacyResource(resource: Resource) {
  const { shortNames, categories } = resource
  return {
    name: resource.resource,
    singularName: resource.singular,
    namespaced: resource.namespaced,
    kind: resource.kind,
    verbs: resource.verbs,
    ...(shortNames.length === 0 ? {} : { shortNames }),
    ...(categories.length === 0 ? {} : { categories }),
  }
}

function resourceList(groupVersion: GroupVersion) {
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: apiVersionOf(groupVersion),
    resources: groupVersion.resources.flatMap(resource => [
      legacyResource(resource),
      ...[...resource.subresources.values()].map(subresource => legacySubresource(resource, subresource)),
    ]),
  }
}

function groupOf(name: string, versions: readonly GroupVersion[]) {
  const listed = versions.map(groupVersion => ({
    groupVersion: apiVersionOf(groupVersion),
    version: groupVersion.version,
  }))
  return { name, versions: listed, preferredVersion: listed[0] }
}

function aggregatedResource(resource: Resource) {
  const { shortNames, categories } = resource
  const responseKind = ({ group, version, kind }: Resource | Subresource['kind']) => ({
    group,
    version,
    kind,
  })
  const subresources = [...resource.subresources.values()].map(({ name, kind, verbs }) => ({
    subresource: name,
    responseKind: responseKind(kind),
    verbs,
  }))
  return {
    resource: resource.resource,
    responseKind: responseKind(resource),
    scope: resource.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: resource.singular,
    verbs: resource.verbs,
    ...(shortNames.length === 0 ? {} : { shortNames }),
    ...(categories.length === 0 ? {} : { categories }),
    ...(subresources.length === 0 ? {} : { subresources }),
  }
}

function aggregatedList(groups: readonly (readonly [string, readonly GroupVersion[]])[]) {
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: 'apidiscovery.k8s.io/v2',
    metadata: {},
    items: groups.map(([name, versions]) => ({
      metadata: name === '' ? {} : { name },
      versions: versions.map(({ version, resources }) => ({
        version,
        resources: resources.map(aggregatedResource),
        freshness: 'Current',
      })),
    })),
  }
}

export interface DiscoveryDocuments {
  /** JSON by path: `api`, `apis`, `api/v1`, `apis/GROUP`, `apis/GROUP/VERSION`. */
  readonly legacy: ReadonlyMap<string, string>
  /** JSON by path: `api`, `apis`. */
  readonly aggregated: ReadonlyMap<string, string>
}

/** All discovery documents of a catalog. */
export function discoveryDocuments({ groupVersions }: Catalog): DiscoveryDocuments {
  const groups = [...Map.groupBy(groupVersions, ({ group }) => group)]
  const named = groups.filter(([name]) => name !== '')
  const legacy = new Map<string, unknown>([
    [
      'api',
      {
        kind: 'APIVersions',
        apiVersion: 'v1',
        versions: groupVersions.filter(({ group }) => group === '').map(({ version }) => version),
        serverAddressByClientCIDRs: [],
      },
    ],
    [
      'apis',
      {
        kind: 'APIGroupList',
        apiVersion: 'v1',
        groups: named.map(([name, versions]) => groupOf(name, versions)),
      },
    ],
  ])
  for (const [name, versions] of named) {
    legacy.set(`apis/${name}`, { kind: 'APIGroup', apiVersion: 'v1', ...groupOf(name, versions) })
  }
  for (const groupVersion of groupVersions) {
    const { group, version } = groupVersion
    legacy.set(group === '' ? `api/${version}` : `apis/${group}/${version}`, resourceList(groupVersion))
  }
  const encode = (documents: ReadonlyMap<string, unknown>) =>
    new Map([...documents].map(([path, document]) => [path, JSON.stringify(document)]))
  return {
    legacy: encode(legacy),
    aggregated: encode(
      new Map([
        ['api', aggregatedList(groups.filter(([name]) => name === ''))],
        ['apis', aggregatedList(named)],
      ]),
    ),
  }
}
