/** The difference between a table as it is and as it should be, as lines for iptables-restore(8). */
import {
  type ActualTable,
  type ChainRules,
  type DesiredTable,
  isBuiltInChain,
  isOurChain,
  type Jump,
  targetOf,
} from './ruleset.ts'

/**
 * Edits that turn `actual` into `desired`, leaving equal rules at both ends of the chain alone, so that their
 * counters go on and a change costs what it changes.
 */
export function chainEdits(chain: string, actual: ChainRules, desired: ChainRules): string[] {
  const shorter = Math.min(actual.length, desired.length)
  let head = 0
  while (head < shorter && actual[head] === desired[head]) head += 1
  let tail = 0
  while (tail < shorter - head && actual[actual.length - 1 - tail] === desired[desired.length - 1 - tail]) {
    tail += 1
  }
  const removed = actual.length - head - tail
  const edits: string[] = []
  // The numbers of the following rules move up with every deletion, so it is the same number each time.
  for (let count = 0; count < removed; count += 1) edits.push(`-D ${chain} ${head + 1}`)
  for (let index = head; index < desired.length - tail; index += 1) {
    edits.push(`-I ${chain} ${index + 1} ${desired[index]}`)
  }
  return edits
}

/** Whether a rule in a chain that is not ours is one of our jumps, wanted or left over. */
function isOurJump(rule: string): boolean {
  const target = targetOf(rule)
  return target !== undefined && isOurChain(target)
}

/** Edits that make `jumps` the first rules of the built-in chain `from`, and our only ones there. */
export function jumpEdits(from: string, actual: ChainRules, jumps: readonly Jump[]): string[] {
  const wanted = jumps.filter(jump => jump.from === from).map(jump => jump.rule)
  const ours = actual.flatMap((rule, index) => (isOurJump(rule) ? [index] : []))
  const inPlace = ours.length === wanted.length && wanted.every((rule, index) => actual[index] === rule)
  if (inPlace) return []
  return [
    ...ours.toReversed().map(index => `-D ${from} ${index + 1}`),
    ...wanted.map((rule, index) => `-I ${from} ${index + 1} ${rule}`),
  ]
}

/** Edits that delete our chains that are no longer wanted, and the rules of others that still lead there. */
function removalEdits(actual: ActualTable, desired: DesiredTable): string[] {
  const stale = [...actual.keys()].filter(
    chain => isOurChain(chain) && !desired.chains.has(chain) && !desired.userChains.includes(chain),
  )
  if (stale.length === 0) return []
  const leads = (rule: string) => stale.includes(targetOf(rule) ?? '')
  const foreign = [...actual].filter(([chain]) => !isBuiltInChain(chain) && !desired.chains.has(chain))
  return [
    ...stale.map(chain => `-F ${chain}`),
    ...foreign
      .filter(([chain]) => !stale.includes(chain))
      .flatMap(([chain, rules]) =>
        rules.flatMap((rule, index) => (leads(rule) ? [`-D ${chain} ${index + 1}`] : [])).toReversed(),
      ),
    ...stale.map(chain => `-X ${chain}`),
  ]
}

/** Everything that has to change in a table; empty when it is as it should be. */
export function tableEdits(actual: ActualTable, desired: DesiredTable): string[] {
  const ourChains = [...desired.chains.keys(), ...desired.userChains]
  const builtIn = new Set([
    ...desired.jumps.map(jump => jump.from),
    ...[...actual.keys()].filter(isBuiltInChain),
  ])
  return [
    ...ourChains.filter(chain => !actual.has(chain)).map(chain => `:${chain} - [0:0]`),
    ...[...desired.chains].flatMap(([chain, rules]) => chainEdits(chain, actual.get(chain) ?? [], rules)),
    ...[...builtIn].flatMap(chain => jumpEdits(chain, actual.get(chain) ?? [], desired.jumps)),
    ...removalEdits(actual, desired),
  ]
}

/** The edits of all tables as one document; each table changes in one step. Empty when there is nothing to do. */
export function restoreDocument(edits: ReadonlyMap<string, readonly string[]>): string {
  return [...edits]
    .filter(([, lines]) => lines.length > 0)
    .map(([table, lines]) => `*${table}\n${lines.join('\n')}\nCOMMIT\n`)
    .join('')
}
