/** Which requests a rule is for, and which rule comes first. */
import type { HostMatch, PathMatch } from '../../lb/index.ts'

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
const UNPRINTABLE = /[\u0000-\u0020\u007f-\u00a0\u2028\u2029]/

/**
 * Reads a rule's hostname: `name`, `*.suffix`, `prefix.*`; empty or `*` for every host.
 *
 * @returns `invalid` for what no host can be called
 */
export function hostMatchOf(hostname: string | undefined): HostMatch | undefined | 'invalid' {
  const text = (hostname ?? '').trim().toLowerCase()
  if (text === '' || text === '*') return undefined
  const [kind, value] = text.startsWith('*.')
    ? (['suffix', text.slice(1)] as const)
    : text.endsWith('.*')
      ? (['prefix', text.slice(0, -1)] as const)
      : (['exact', text] as const)
  return UNPRINTABLE.test(value) || value.includes('*') ? 'invalid' : { kind, value }
}

/** Reads a rule's path, which is the beginning of a request's; empty or `/` for every path. */
export function pathMatchOf(path: string | undefined): PathMatch | undefined | 'invalid' {
  const text = (path ?? '').trim().toLowerCase()
  if (UNPRINTABLE.test(text)) return 'invalid'
  if (text === '' || text === '/') return undefined
  return { kind: 'prefix', value: text.startsWith('/') ? text : `/${text}` }
}

/** What the order of rules depends on. */
export interface OrderedRule {
  readonly host: HostMatch | undefined
  readonly path: PathMatch | undefined
  readonly priority: number | undefined
  /** Where it stands in the service's list. */
  readonly index: number
}

function rank({ host, path }: OrderedRule): number {
  if (host?.kind === 'exact') return path === undefined ? 1 : 0
  if (host !== undefined) return path === undefined ? 3 : 2
  return path === undefined ? 5 : 4
}

/**
 * The order in which rules are asked: a total one. Those with a priority come first, lower ones before higher ones. Then the
 * more exact host, the longer path, the longer part of a host, and at last who stands first.
 */
export function compareRules(a: OrderedRule, b: OrderedRule): number {
  const last = Number.MAX_SAFE_INTEGER
  const differences = [
    (a.priority ?? last) - (b.priority ?? last),
    rank(a) - rank(b),
    (b.path?.value.length ?? 0) - (a.path?.value.length ?? 0),
    (b.host?.value.length ?? 0) - (a.host?.value.length ?? 0),
  ]
  return differences.find(difference => difference !== 0) ?? a.index - b.index
}
