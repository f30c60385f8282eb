/** Versions of the metadata service's answers, as clients name them. */

export type Version = '2015-07-25' | '2015-12-19' | '2016-07-29'

const NEWEST: Version = '2016-07-29'

export const VERSIONS: ReadonlyMap<string, Version> = new Map([
  ['2015-07-25', '2015-07-25'],
  ['2015-12-19', '2015-12-19'],
  [NEWEST, NEWEST],
  ['latest', NEWEST],
])

/** Since the newest one, names of containers, services and stacks are in lower case. */
export function shownName(name: string, version: Version): string {
  return version === NEWEST ? name.toLowerCase() : name
}

/** Since the newest one, a port without an address is on every address; before, it was on the host's. */
export function showsHostAddress(version: Version): boolean {
  return version !== NEWEST
}

/** In the first one, services and stacks list names of what they have, not objects. */
export function listsNames(version: Version): boolean {
  return version === '2015-07-25'
}

/** Hosts had another id beside their uuid once. */
export function hasHostId(version: Version): boolean {
  return version !== NEWEST
}
