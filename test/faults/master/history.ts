/** What happened to objects that many write at once, and what that must have been. Pure. */

/** An object that everybody appends to: each write adds an operation to what the writer has read. */
export interface Version {
  readonly name: string
  readonly revision: number
  readonly operations: readonly string[]
}

/** A write that was answered with success. */
export interface Acknowledged extends Version {
  readonly operation: string
  /** The revision that the writer had read, and named as its precondition. */
  readonly read: number
}

/** What one watcher saw, over all its connections, in order. */
export type Seen =
  | ({ readonly type: 'event' } & Version)
  /** Everything up to this revision has been told. */
  | { readonly type: 'bookmark'; readonly revision: number }

export interface History {
  readonly acknowledged: readonly Acknowledged[]
  readonly watchers: readonly (readonly Seen[])[]
  /** What a list showed in the end. */
  readonly last: readonly Version[]
}

/** Registers: nothing acknowledged is lost, nothing is there twice, and every write followed the version it named. */
function registerProblems({ acknowledged, last }: History, events: readonly Version[]): string[] {
  const problems: string[] = []
  const final = new Map(last.map(version => [version.name, version]))
  for (const { name, operations } of last) {
    if (new Set(operations).size !== operations.length) problems.push(`${name}: an operation is there twice`)
  }
  const revisions = new Set<number>()
  for (const write of acknowledged) {
    if (revisions.has(write.revision)) problems.push(`revision ${write.revision} was given twice`)
    revisions.add(write.revision)
    if (!final.get(write.name)?.operations.includes(write.operation))
      problems.push(`lost: ${write.operation}`)
  }
  const byName = Map.groupBy(events, ({ name }) => name)
  for (const [name, versions] of byName) {
    for (const [index, { operations, revision }] of versions.entries()) {
      const before = versions[index - 1]
      const grown = before === undefined || operations.slice(0, -1).join() === before.operations.join()
      if (!grown) problems.push(`${name}: revision ${revision} does not follow ${before?.revision}`)
    }
  }
  for (const { name, read, revision } of acknowledged) {
    const versions = byName.get(name) ?? []
    const index = versions.findIndex(version => version.revision === revision)
    if (index < 0) problems.push(`${name}: revision ${revision} was never told`)
    else if (index > 0 && versions[index - 1]?.revision !== read) {
      problems.push(`${name}: revision ${revision} replaced another version than ${read}`)
    }
  }
  return problems
}

/** The promises of watches: ordered, unique, reliable, atomic, resumable, and bookmarks that hold. */
function watchProblems(seen: readonly Seen[], expected: ReadonlySet<number>, who: string): string[] {
  const problems: string[] = []
  const told = new Set<number>()
  let latest = 0
  let promised = 0
  for (const each of seen) {
    if (each.type === 'bookmark') {
      if (each.revision < latest) problems.push(`${who}: bookmark ${each.revision} after ${latest}`)
      const missing = [...expected].filter(revision => revision <= each.revision && !told.has(revision))
      if (missing.length > 0) problems.push(`${who}: bookmark ${each.revision} without ${missing.join()}`)
      promised = Math.max(promised, each.revision)
      continue
    }
    if (told.has(each.revision)) problems.push(`${who}: ${each.revision} was told twice`)
    else if (each.revision <= latest) problems.push(`${who}: ${each.revision} after ${latest}`)
    if (each.revision <= promised) problems.push(`${who}: ${each.revision} after bookmark ${promised}`)
    told.add(each.revision)
    latest = each.revision
  }
  const missing = [...expected].filter(revision => !told.has(revision))
  if (missing.length > 0) problems.push(`${who}: was never told of ${missing.join()}`)
  return problems
}

/** Everything that is wrong with a history; empty for a right one. */
export function historyProblems(history: History): string[] {
  const events = history.watchers.map(seen => seen.filter(each => each.type === 'event'))
  const [first = []] = events
  // What one was told, all must have been told: together they say what happened.
  const expected = new Set(events.flat().map(({ revision }) => revision))
  return [
    ...registerProblems(history, first),
    ...history.watchers.flatMap((seen, index) => watchProblems(seen, expected, `watcher ${index}`)),
  ]
}
