/** What nft(8) says in JSON about our table: when it lists it, and when it repeats what it made (`--echo`). */
import { Type, validatorOf } from '../../kit/index.ts'
import { SOURCES_SET, SOURCES_SET_6, type Source } from './guard-ruleset.ts'

const listing = validatorOf(Type.Object({ nftables: Type.Array(Type.Record(Type.String(), Type.Unknown())) }))

const echo = validatorOf(
  Type.Object({
    nftables: Type.Array(Type.Object({ add: Type.Optional(Type.Record(Type.String(), Type.Unknown())) })),
  }),
)

const text = Type.String()

const elementValidator = validatorOf(Type.Object({ concat: Type.Tuple([text, text, text]) }))

const element6Validator = validatorOf(Type.Object({ concat: Type.Tuple([text, text, text, text]) }))

export interface GuardListing {
  /** Everything but elements, counters and handles, in one order: equal when the rules are. */
  readonly rules: string
  readonly sources: readonly Source[]
}

function readSource(element: unknown): Source {
  const [link, mac, address] = elementValidator.parse(element, 'element of an nftables set').concat
  return { link, mac, address }
}

function readSource6(element: unknown): Source {
  const [link, mac, gatewayMac, address] = element6Validator.parse(
    element,
    'element of an nftables set',
  ).concat
  return { link, mac, address, gatewayMac }
}

const READERS = new Map<unknown, (element: unknown) => Source>([
  [SOURCES_SET, readSource],
  [SOURCES_SET_6, readSource6],
])

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
    if (typeof set !== 'object' || set === null || !('name' in set)) continue
    const read = READERS.get(set.name)
    const elements: unknown = 'elem' in set ? set.elem : []
    if (read !== undefined && Array.isArray(elements)) sources.push(...elements.map(read))
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
