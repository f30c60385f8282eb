/** Discovery of a cluster in which others serve versions of groups: one list in order of priority. Pure. */
import { compareVersions } from '../custom/index.ts'
import { CUSTOM_PRIORITIES } from './api-service.ts'
import { BUILT_IN_PRIORITIES } from './built-in-priorities.ts'

interface RankedVersion {
  readonly version: string
  readonly priority: number
}

/** The preferred version of a group first. */
function compareRanked(one: RankedVersion, other: RankedVersion): number {
  return other.priority - one.priority || compareVersions(one.version, other.version)
}

export interface GroupVersionPriority {
  readonly group: string
  readonly version: string
  readonly groupPriority: number
  readonly versionPriority: number
}

/** A version of a group, and whatever is told of it. */
export interface ListedVersion<T> {
  readonly version: string
  readonly content: T
}

export interface ListedGroup<T> {
  readonly name: string
  readonly versions: readonly ListedVersion<T>[]
}

function localPriority(group: string): number {
  return BUILT_IN_PRIORITIES.get(group)?.group ?? CUSTOM_PRIORITIES.group
}

function localVersionPriority(group: string, version: string): number {
  const known = BUILT_IN_PRIORITIES.get(group)
  return known === undefined
    ? CUSTOM_PRIORITIES.version
    : (known.versions.get(version) ?? known.defaultVersion)
}

/**
 * The groups of this server, in their order, and those of others at their places.
 *
 * @param contentOf what is told of a version that another serves
 */
export function mergeGroups<T>(
  own: readonly ListedGroup<T>[],
  remotes: readonly GroupVersionPriority[],
  contentOf: (group: string, version: string) => T,
): ListedGroup<T>[] {
  const merged = own.map(({ name, versions }) => ({ name, versions, priority: localPriority(name) }))
  for (const [name, versions] of Map.groupBy(remotes, ({ group }) => group)) {
    const at = merged.findIndex(group => group.name === name)
    const present = at < 0 ? undefined : merged[at]
    const ranked: (RankedVersion & { readonly content: T })[] = [
      ...(present?.versions ?? [])
        // Whoever its APIService names serves it, also where it is defined here.
        .filter(({ version }) => !versions.some(remote => remote.version === version))
        .map(({ version, content }) => ({ version, content, priority: localVersionPriority(name, version) })),
      ...versions.map(({ version, versionPriority }) => ({
        version,
        content: contentOf(name, version),
        priority: versionPriority,
      })),
    ].toSorted(compareRanked)
    const priority = Math.max(present?.priority ?? 0, ...versions.map(({ groupPriority }) => groupPriority))
    if (at >= 0) merged.splice(at, 1)
    const before = merged.findIndex(
      group => group.priority < priority || (group.priority === priority && group.name > name),
    )
    merged.splice(before < 0 ? merged.length : before, 0, { name, versions: ranked, priority })
  }
  return merged.map(({ name, versions }) => ({
    name,
    versions: versions.map(({ version, content }) => ({ version, content })),
  }))
}
