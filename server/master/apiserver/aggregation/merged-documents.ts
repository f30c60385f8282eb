/** Discovery documents of this server with what others serve among it. Texts in, texts out. */
import type { JsonObject } from '../json.ts'
import { type GroupVersionPriority, type ListedGroup, mergeGroups } from './merge-discovery.ts'
import type { DiscoveredResource } from './remote-discovery.ts'
import type { Remembered } from './remote-documents.ts'

interface ApiGroup {
  readonly name: string
  readonly versions: readonly { readonly groupVersion: string; readonly version: string }[]
}

interface AggregatedVersion {
  readonly version: string
  readonly resources: readonly (DiscoveredResource | JsonObject)[]
  readonly freshness: string
}

interface AggregatedGroup {
  readonly metadata: { readonly name?: string }
  readonly versions: readonly AggregatedVersion[]
}

function apiGroup({ name, versions }: ListedGroup<undefined>) {
  const listed = versions.map(({ version }) => ({ groupVersion: `${name}/${version}`, version }))
  return { name, versions: listed, preferredVersion: listed[0] }
}

function listedGroups(groups: readonly ApiGroup[]): ListedGroup<undefined>[] {
  return groups.map(({ name, versions }) => ({
    name,
    versions: versions.map(({ version }) => ({ version, content: undefined })),
  }))
}

/** `/apis` @param own as this server alone would answer */
export function groupListWith(own: string, remotes: readonly GroupVersionPriority[]): string {
  const { groups, ...list } = JSON.parse(own) as { readonly groups: readonly ApiGroup[] }
  const merged = mergeGroups(listedGroups(groups), remotes, () => undefined)
  return JSON.stringify({ ...list, groups: merged.map(apiGroup) })
}

/**
 * `/apis/GROUP`
 *
 * @param own as this server alone would answer; undefined where it has no such group
 * @param remotes of the group, one at least
 */
export function groupWith(
  own: string | undefined,
  name: string,
  remotes: readonly GroupVersionPriority[],
): string {
  const groups = own === undefined ? [] : [JSON.parse(own) as ApiGroup]
  const [merged = { name, versions: [] }] = mergeGroups(listedGroups(groups), remotes, () => undefined)
  return JSON.stringify({ kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(merged) })
}

/** `/apis` in the aggregated form. @param resourcesOf what a version that another serves has */
export function aggregatedListWith(
  own: string,
  remotes: readonly GroupVersionPriority[],
  resourcesOf: (group: string, version: string) => Remembered<readonly DiscoveredResource[]>,
): string {
  const { items, ...list } = JSON.parse(own) as { readonly items: readonly AggregatedGroup[] }
  const groups = items.map(({ metadata, versions }) => ({
    name: metadata.name ?? '',
    versions: versions.map(content => ({ version: content.version, content })),
  }))
  const merged = mergeGroups<AggregatedVersion>(groups, remotes, (group, version) => {
    const { value = [], current } = resourcesOf(group, version)
    return { version, resources: value, freshness: current ? 'Current' : 'Stale' }
  })
  return JSON.stringify({
    ...list,
    items: merged.map(({ name, versions }) => ({
      metadata: { name },
      versions: versions.map(({ content }) => content),
    })),
  })
}
