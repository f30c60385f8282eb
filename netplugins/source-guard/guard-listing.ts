/** What nft(8) says in JSON about our table: when it lists it, and when it repeats what it made (`--echo`). */
import { Type, validatorOf } from '../../kit/index.ts'
import { SOURCES_SET, type Source } from './guard-ruleset.ts'

const listing = validatorOf(Type.Object({ nftables: Type.Array(Type.Record(Type.String(), Type.Unknown())) }))

const echo = validatorOf(
  Type.Object({
    nftables: Type.Array(Type.Object({ add: Type.Optional(Type.Record(Type.String(), Type.Unknown())) })),
  }),
)

const elementValidator = validatorOf(
  Type.Object({ concat: Type.Tuple([Type.String(), Type.String(), Type.String()]) }),
)

export interface GuardListing {
  /** Everything but elements, counters and handles, in one order: equal when the rules are. */
  readonly rules: string
  readonly sources: readonly Source[]
}

function readSource(element: unknown): Source {
  const [link, mac, address] = elementValidator.parse(element, 'element of an nftables set').concat
  return { link, mac, address }
}

/** Leaves out what changes by itself, or from one table to its equal replacement. */
function withoutChanging(key: string, value: unknown): unknown {
  return key === 'handle' || key === 'packets' || key === 'bytes' || key === 'elem' ? undefined : value
}

/** One line per rule in order, and before them one per set and chain, in any order. */
function ruleText(objects: readonly Record<string, unknown>[]): string {
  const lines = (kinds: readonly string[]) =>
    objects
      .filter(entry => kinds.some(kind => kind in entry))
      .map(entry => JSON.stringify(entry, withoutChanging))
  return [...lines(['table', 'set', 'chain']).toSorted(), ...lines(['rule'])].join('\n')
}

/** @throws `InvalidFormat` */
export function readListing(text: string): GuardListing {
  const { nftables } = listing.parse(JSON.parse(text), 'nftables listing')
  const sources: Source[] = []
  for (const { set } of nftables) {
    if (typeof set !== 'object' || set === null || !('name' in set) || set.name !== SOURCES_SET) continue
    const elements: unknown = 'elem' in set ? set.elem : []
    if (Array.isArray(elements)) sources.push(...elements.map(readSource))
  }
  return { rules: ruleText(nftables), sources }
}

/**
 * The rules that a `replacementDocument` made, in the words of a listing.
 *
 * @throws `InvalidFormat`
 */
export function readEcho(text: string): string {
  const { nftables } = echo.parse(JSON.parse(text), 'nftables echo')
  const added = nftables.flatMap(({ add }) => (add === undefined ? [] : [add]))
  // The table is named twice: once so that it can be deleted.
  return ruleText([
    ...added.filter(entry => 'table' in entry).slice(-1),
    ...added.filter(entry => !('table' in entry)),
  ])
}
